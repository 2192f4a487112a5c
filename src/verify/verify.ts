/**
 * Puts a feature of a cluster to the test: sends messages, reads them, kills the broker in between when
 * it may, writes down everything that happens, and has the checker judge it.
 *
 * The room: `history` is what happened, `checker` judges it and knows nothing of brokers; `writers`,
 * `readers` and `leftovers` make it happen; `features/` says what is sent, read and made to fail.
 */
import { MqError, messageOf } from '../base/errors.ts'
import { Admin } from '../client/admin.ts'
import { sleep } from '../world/node-clock.ts'
import type { World } from '../world/world.ts'
import { Checker } from './checker.ts'
import { broadcastSetup } from './features/broadcast.ts'
import { delaySetup } from './features/delay.ts'
import { filterSetup } from './features/filter.ts'
import { orderSetup } from './features/order.ts'
import { retrySetup } from './features/retry.ts'
import type { FeatureSetup, SetupInput } from './features/setup.ts'
import { transactionSetup } from './features/txn.ts'
import type { Feature, HistoryHead } from './history.ts'
import { HistoryWriter, readHistory } from './history-file.ts'
import { Leftovers } from './leftovers.ts'
import { lot } from './lot.ts'
import { Readers } from './readers.ts'
import { Recorder } from './recorder.ts'
import type { Verdict } from './verdict.ts'
import { Writers } from './writers.ts'

export interface VerifyTarget {
  readonly nameServers: string
  /** Kills the broker with -9 and starts it again; null: it is not ours to kill. */
  readonly crash: (() => Promise<void>) | null
  /** Its name, for the history. */
  readonly broker: string
}

export interface VerifyOptions {
  readonly feature: Feature
  /** Sends that are to be acknowledged. */
  readonly messages: number
  readonly writers: number
  readonly queues: number
  readonly sizeBytes: number
  readonly kills: number
  readonly seed: number
  /** How long to wait for what is missing while nothing comes. */
  readonly patienceMs: number
  readonly requestTimeoutMs: number
  /** File for the history; null: not kept. */
  readonly history: string | null
  readonly version: string
  readonly signal: AbortSignal
  readonly onProgress: (text: string) => void
}

const setups: Readonly<Record<Feature, (input: SetupInput) => FeatureSetup>> = {
  order: orderSetup,
  delay: delaySetup,
  txn: transactionSetup,
  retry: retrySetup,
  filter: filterSetup,
  broadcast: broadcastSetup,
}

/** Settings of a broker of our own: open transactions are asked about soon. */
export const brokerSettings = ['transactionTimeOut=1000', 'transactionCheckInterval=1000'] as const

const LOOK_MS = 100
/** Dead letters are read from the start each time. */
const DEAD_LOOKS = 10
/** When nothing is owed any more: time for what should not come. */
const AFTERWARDS_MS = 2_000
/** Acknowledgements that are to come after the last kill. */
const AFTER_KILL = 20
/** A kill comes at most so long after its share of the messages. */
const JITTER_MS = 50

/** One feature from start to verdict. Throws MqError when it could not even begin. */
export async function verifyFeature(
  world: World,
  target: VerifyTarget,
  options: VerifyOptions,
): Promise<Verdict> {
  const { nameServers } = target
  const { requestTimeoutMs } = options
  const admin = Admin.open(world, { nameServers, requestTimeoutMs })
  try {
    const run = world.random.fill(Buffer.alloc(4)).toString('hex')
    const prefix = `verify-${options.feature}-${run}`
    const setup = setups[options.feature]({ seed: options.seed, prefix })
    const head = headOf(world, options, setup, run, prefix, target.crash === null)
    const { queues, history } = options
    await admin.topics.create({ topic: prefix, readQueues: queues, writeQueues: queues })
    const writer = history === null ? null : await HistoryWriter.open(world.disk, history, head)
    const recorder = new Recorder(world, head, writer)
    await new FeatureRun(world, admin, recorder, setup, target, options).run()
    const verdict = await recorder.finish()
    if (target.crash === null && verdict.verdict !== 'violated')
      await removeAll(admin, setup, prefix)
    return verdict
  } finally {
    admin.close()
  }
}

/** Judges a history that was kept. Throws INPUT_BROKEN. */
export async function verifyHistory(world: World, path: string): Promise<Verdict> {
  const { head, events } = await readHistory(world.disk, path)
  const checker = new Checker(head)
  for await (const event of events) checker.add(event)
  return { ...checker.finish(), history: path }
}

function headOf(
  world: World,
  { feature, seed, version, kills }: VerifyOptions,
  setup: FeatureSetup,
  run: string,
  topic: string,
  foreign: boolean,
): HistoryHead {
  const { ordered, retriesMax, decide, readers } = setup
  return {
    h: 1,
    ...{ run, feature, seed, version },
    at: new Date(world.clock.wallMs()).toISOString(),
    plan: {
      ...{ topic, ordered, retriesMax, kills },
      transactional: decide !== undefined,
      foreign,
      readers: [...new Set(readers.map(({ reader }) => reader))],
    },
  }
}

class FeatureRun {
  readonly #world: World
  readonly #recorder: Recorder
  readonly #setup: FeatureSetup
  readonly #target: VerifyTarget
  readonly #options: VerifyOptions
  readonly #leftovers: Leftovers
  /** Acknowledgements after which the writers may end: enough, and some after the last kill. */
  #enough: number

  constructor(
    world: World,
    admin: Admin,
    recorder: Recorder,
    setup: FeatureSetup,
    target: VerifyTarget,
    options: VerifyOptions,
  ) {
    this.#world = world
    this.#recorder = recorder
    this.#setup = setup
    this.#target = target
    this.#options = options
    this.#leftovers = new Leftovers(admin, recorder, setup)
    this.#enough = target.crash === null || options.kills === 0 ? options.messages : Infinity
  }

  /** Whatever goes wrong is in the history afterwards. */
  async run(): Promise<void> {
    const { nameServers } = this.#target
    const { requestTimeoutMs } = this.#options
    const common = { nameServers, requestTimeoutMs }
    const readers = await Readers.start(this.#world, this.#recorder, this.#setup, common)
    const writers = new Writers(this.#world, this.#recorder, this.#setup, {
      ...common,
      ...this.#options,
      mayEnd: () => this.#recorder.checker.acknowledged >= this.#enough,
    })
    let sending = true
    try {
      this.#progress('sends')
      const kills = this.#kill(() => sending && !this.#options.signal.aborted).catch(
        (error: unknown) => {
          // Nothing more will be acknowledged.
          this.#enough = 0
          throw error
        },
      )
      const writing = writers.run().finally(() => {
        sending = false
      })
      await Promise.all([writing, kills])
      await this.#drain()
    } finally {
      sending = false
      await readers.close()
      await writers.close()
    }
    await this.#readEverything()
  }

  /** At equal shares of the messages, each a moment after its share: any moment may be the one. */
  async #kill(goesOn: () => boolean): Promise<void> {
    const { kills, messages, seed } = this.#options
    const { crash, broker } = this.#target
    if (crash === null) return
    for (let kill = 1; kill <= kills; kill++) {
      const share = Math.floor((messages * kill) / (kills + 1))
      while (goesOn() && this.#recorder.checker.acknowledged < share) {
        await sleep(this.#world.clock, 5)
      }
      if (!goesOn()) return
      await sleep(this.#world.clock, lot(seed, String(kill), 'kill') * JITTER_MS)
      this.#recorder.note({ f: 'fault', e: 'start', n: 'kill9', on: broker })
      this.#progress(`kill ${kill} of ${kills}`)
      await crash()
      this.#recorder.note({ f: 'fault', e: 'end', n: 'kill9', on: broker, took: true })
    }
    this.#enough = Math.max(messages, this.#recorder.checker.acknowledged + AFTER_KILL)
  }

  /** Until everything has come to its end, or nothing comes any more. */
  async #drain(): Promise<void> {
    const { checker } = this.#recorder
    const { signal } = this.#options
    // What should not come may be owed again: a commit that a broker asked for late.
    while ((await this.#untilNothingIsOwed()) && !signal.aborted) {
      this.#progress('waits for what should not come')
      await this.#lookFor(AFTERWARDS_MS, () => checker.owed > 0)
      if (checker.owed === 0) return
    }
  }

  /** False when nothing came for too long. */
  async #untilNothingIsOwed(): Promise<boolean> {
    const { clock } = this.#world
    const { patienceMs, signal } = this.#options
    const { checker } = this.#recorder
    let before = checker.owed
    let movedMs = clock.monotonicMs()
    for (let look = 1; checker.owed > 0 && !signal.aborted; look++) {
      if (clock.monotonicMs() - movedMs > patienceMs) return false
      this.#progress('waits for what is under way')
      await sleep(clock, LOOK_MS)
      if (look % DEAD_LOOKS === 0) await this.#noteDead()
      if (checker.owed !== before) movedMs = clock.monotonicMs()
      before = checker.owed
    }
    return true
  }

  /** So long, or until `isOver`. */
  async #lookFor(forMs: number, isOver: () => boolean): Promise<void> {
    for (let ms = 0; ms < forMs && !isOver() && !this.#options.signal.aborted; ms += LOOK_MS) {
      await sleep(this.#world.clock, LOOK_MS)
    }
  }

  /** The topics may not be there yet, or a broker on its way back: the last look counts. */
  async #noteDead(): Promise<void> {
    try {
      await this.#leftovers.noteDead()
    } catch (error) {
      if (!(error instanceof MqError)) throw error
    }
  }

  async #readEverything(): Promise<void> {
    this.#progress('reads the topic')
    if (this.#options.signal.aborted) {
      this.#recorder.note({ f: 'drain', e: 'info', why: 'the run was interrupted' })
      return
    }
    try {
      await this.#leftovers.noteDead()
      await this.#leftovers.noteTopic()
      this.#recorder.note({ f: 'drain', e: 'ok' })
    } catch (error) {
      const why = `the topic was not read to its end: ${messageOf(error)}`
      this.#recorder.note({ f: 'drain', e: 'info', why })
    }
  }

  #progress(what: string): void {
    const { acknowledged, owed } = this.#recorder.checker
    const { feature, messages } = this.#options
    this.#options.onProgress(
      `${feature}: ${what}, ${acknowledged} of ${messages} acknowledged, ${owed} owed`,
    )
  }
}

/** On a cluster of others nothing is left behind, as far as it lets us. */
async function removeAll(admin: Admin, setup: FeatureSetup, topic: string): Promise<void> {
  const groups = new Set(setup.readers.map(({ group }) => group))
  for (const remove of [
    () => admin.topics.delete(topic),
    ...[...groups].map((group) => () => admin.groups.delete(group)),
  ]) {
    try {
      await remove()
    } catch (error) {
      if (!(error instanceof MqError)) throw error
    }
  }
}
