/**
 * The broker: one event loop, one log. This file puts the parts together and takes them apart; what
 * happens to a message stands in `write-path.ts` and `read-path.ts`, who answers what in `dispatch.ts`.
 *
 *   start   bind the port → open the store (lock, recover) → load the tables → serve → register
 *   stop    unregister → no new connections → answer what is held and owed → save → close the store
 */
import { MqError } from '../base/errors.ts'
import { type Logger, silentLogger } from '../base/logger.ts'
import type { Command } from '../protocol/command.ts'
import { decodeHost } from '../protocol/host.ts'
import type { Connection, ConnectionHandler } from '../remoting/connection.ts'
import { RemotingServer } from '../remoting/server.ts'
import { aloneConfirm } from '../cluster/alone.ts'
import { ConfigFile } from '../store/config-file.ts'
import { resolveOptions, type OptionValues } from '../base/options.ts'
import { storeOptions } from '../store/options.ts'
import type { Queue } from '../store/queue.ts'
import { Store, type StoreHooks } from '../store/store.ts'
import type { World } from '../world/world.ts'
import { ClientRegistry } from './clients.ts'
import { Confirmations } from './confirmations.ts'
import { ConsumerFilters } from './consumer-filters.ts'
import { ConsumerOffsets } from './consumer-offsets.ts'
import type { BrokerContext } from './context.ts'
import { DelayedDelivery } from './delay/delayed-delivery.ts'
import { Dispatch } from './dispatch.ts'
import { GroupTable } from './groups.ts'
import { QueueLocks } from './locks.ts'
import { type BrokerOptions, type BrokerSettings, brokerSettings } from './options.ts'
import { ConsumerOrder } from './pop/consumer-order.ts'
import { Pops } from './pop/pops.ts'
import { RequestModes } from './pop/request-modes.ts'
import { ReviveLog } from './pop/revive-log.ts'
import { Reviver } from './pop/reviver.ts'
import { bringUpProgress } from './pop/taken-before.ts'
import { ReadPath } from './read-path.ts'
import { Registration } from './registration.ts'
import { RepliesUnderWay } from './replies-under-way.ts'
import { RouteView } from './route-view.ts'
import type { RuntimeProbe } from './runtime-probe.ts'
import { BrokerStats } from './stats.ts'
import { isSystemTopicOf } from './system-topics.ts'
import { Timers } from './timer/timers.ts'
import { TopicTable } from './topics.ts'
import { Checker } from './transactions/checker.ts'
import { Transactions } from './transactions/transactions.ts'
import { WritePath, storeHostOf } from './write-path.ts'

/** Time-outs of held pulls, slow disks and the like are looked at this often. */
const TICK_MS = 50
/** How often the filters of consumers are written when they changed. Source: BrokerController.initialize. */
const FILTERS_FLUSH_MS = 10_000
/** A table that could not be written is tried again this often. */
const TABLE_RETRY_MS = 5_000
/** How long a stop waits for answers that the disk still owes. */
const DRAIN_MS_MAX = 10_000

export interface BrokerStart extends BrokerOptions {
  /** The store's root directory, made when missing, and its options. */
  readonly store: { readonly dir: string } & Partial<OptionValues<typeof storeOptions>>
}

export interface RunningBroker {
  readonly port: number
  /** `host:port` that clients are told. */
  readonly address: string
  readonly context: BrokerContext
  /** Stops cleanly: everything acknowledged is on the disk. */
  close(): Promise<void>
}

/**
 * Starts a broker and resolves when it serves. Rejects with MqError: PORT_TAKEN, STORE_IN_USE,
 * STORE_UNWRITABLE, STORE_FORMAT_UNKNOWN, CONFIG_INVALID.
 */
export async function startBroker(
  world: World,
  options: BrokerStart,
  logger: Logger,
  probe: RuntimeProbe | null = null,
): Promise<RunningBroker> {
  const broker = new Broker(world, options, logger, probe)
  try {
    await broker.start()
  } catch (error) {
    await broker.close()
    throw error
  }
  return broker
}

class Broker implements RunningBroker {
  readonly #world: World
  readonly #options: BrokerStart
  readonly #logger: Logger
  readonly #probe: RuntimeProbe | null
  readonly #gate = new Gate()
  #server: RemotingServer | null = null
  #fastServer: RemotingServer | null = null
  #store: Store | null = null
  #topics: TopicTable | null = null
  #context: BrokerContext | null = null
  #writePath: WritePath | null = null
  #readPath: ReadPath | null = null
  #stopTick: () => void = () => undefined
  #stopRetry: () => void = () => undefined
  #closing: Promise<void> | null = null

  constructor(world: World, options: BrokerStart, logger: Logger, probe: RuntimeProbe | null) {
    this.#world = world
    this.#options = options
    this.#logger = logger
    this.#probe = probe
  }

  get port(): number {
    return this.#server?.port ?? 0
  }

  get address(): string {
    return this.context.settings.advertisedAddress
  }

  get context(): BrokerContext {
    if (this.#context === null) throw new MqError('NOT_RUNNING', { name: 'the broker' })
    return this.#context
  }

  async start(): Promise<void> {
    // The port first: a second broker on it must fail before it touches anybody's files.
    const { host, port } = brokerSettings(this.#options)
    const scope = this.#logger.scope('broker')
    this.#server = await RemotingServer.listen(this.#world, { host, port }, this.#gate, scope)
    const settings = brokerSettings(this.#options, this.#server.port)
    await this.#listenFast(settings)
    const context = await this.#open(settings)
    this.#gate.open(new Dispatch(context, this.#writePath as WritePath, this.#readPath as ReadPath))
    this.#stopTick = this.#world.clock.every(TICK_MS, () => {
      this.#tick()
    })
    context.clients.start()
    context.offsets.start()
    context.filters.start()
    context.delay.start()
    context.timers.start()
    context.locks.start()
    context.transactions.start()
    context.checker.start()
    context.order.start()
    context.reviver.start()
    context.stats.start()
    this.#stopRetry = this.#world.clock.every(TABLE_RETRY_MS, () => {
      context.topics.tick()
      context.groups.tick()
    })
    await context.registration.start()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Clients with the VIP channel send to port - 2. It is a convenience: a taken port is said and passed over. */
  async #listenFast(settings: BrokerSettings): Promise<void> {
    if (!settings.fastPort || settings.port === 0) return
    const fastPort = settings.port - 2
    try {
      this.#fastServer = await RemotingServer.listen(
        this.#world,
        { host: settings.host, port: fastPort },
        this.#gate,
        this.#logger.scope('broker'),
      )
    } catch (error) {
      if (!(error instanceof MqError)) throw error
      this.#logger.warn('no fast port; clients with the VIP channel cannot send', {
        port: fastPort,
        why: error.message,
      })
    }
  }

  async #open(settings: BrokerSettings): Promise<BrokerContext> {
    const world = this.#world
    const logger = this.#logger
    const storeHost = storeHostOf(settings.advertisedAddress)
    const { dir, ...storeValues } = this.#options.store
    const values = resolveOptions(storeOptions, storeValues, 'store')
    const kinds = await TopicTable.kinds(
      new ConfigFile(world.disk, dir, 'topics.json', silentLogger),
    )
    const isBatchTopic = (topic: string) =>
      (this.#topics === null ? kinds.get(topic) : this.#topics.get(topic)?.isBatch) ?? null
    const isKnownTopic = (topic: string) =>
      kinds.size === 0 || kinds.has(topic) || isSystemTopicOf(settings, topic)
    const store = await Store.open(
      world,
      { ...values, dir, storeHost: decodeHost(storeHost, 0, storeHost.length) },
      { ...this.#hooks(), confirm: aloneConfirm(values.flush), isBatchTopic, isKnownTopic },
      logger.scope('store'),
    )
    this.#store = store
    const file = (name: string) => new ConfigFile(world.disk, dir, name, logger.scope('config'))
    const topics = await TopicTable.load(
      {
        clock: world.clock,
        settings,
        file: file('topics.json'),
        openQueue: (topic, queueId) => store.queue(topic, queueId),
        storedAsBatch: (topic) => areBatch(store.queuesOf(topic)),
        removeStored: (topic) => store.deleteTopic(topic),
        logger: logger.scope('topics'),
      },
      storedTopics(store),
    )
    this.#topics = topics
    const groups = await GroupTable.load({
      clock: world.clock,
      settings,
      file: file('subscriptionGroup.json'),
      logger: logger.scope('groups'),
    })
    const offsets = await ConsumerOffsets.load({
      clock: world.clock,
      file: file('consumerOffset.json'),
      logger: logger.scope('offsets'),
      flushMs: settings.flushConsumerOffsetMs,
      flushLog: () => store.flushNow(),
    })
    const filters = await ConsumerFilters.load({
      clock: world.clock,
      file: file('consumerFilter.json'),
      logger: logger.scope('filters'),
      flushMs: FILTERS_FLUSH_MS,
    })
    const clients = new ClientRegistry({
      clock: world.clock,
      logger: logger.scope('clients'),
      expiryMs: settings.clientExpiryMs,
      scanMs: settings.clientScanMs,
    })
    clients.notifyEnabled = (group) => groups.get(group)?.notifyConsumerIdsChangedEnable ?? true
    clients.onGroupLeft = (group) => {
      filters.unregister(group)
    }
    const registration = new Registration({
      world,
      settings,
      topics,
      logger: logger.scope('registration'),
    })
    const stats = new BrokerStats(world.clock, settings.clusterName, this.#probe)
    const delay = await DelayedDelivery.load({
      clock: world.clock,
      store,
      topics,
      file: file('delayOffset.json'),
      logger: logger.scope('delay'),
      flushMs: settings.flushDelayOffsetMs,
      levelMax: settings.delayLevelMax,
    })
    const timers = await Timers.load({ world, store, topics, logger: logger.scope('timers') })
    const locks = new QueueLocks({
      clock: world.clock,
      logger: logger.scope('locks'),
      lockLiveMs: () => settings.lockLiveMs,
    })
    const confirmations = new Confirmations(store, world.clock)
    const transactionParts = {
      world,
      settings,
      store,
      topics,
      offsets,
      stats,
      logger: logger.scope('transactions'),
    }
    const transactions = await Transactions.load(transactionParts)
    const checker = new Checker({ ...transactionParts, clients, confirmations }, transactions)
    const popLogger = logger.scope('pop')
    const order = await ConsumerOrder.load({
      clock: world.clock,
      file: file('consumerOrderInfo.json'),
      logger: popLogger,
      flushMs: settings.flushConsumerOffsetMs,
      isKnown: (topic, group, queueId) =>
        queueId < (topics.get(topic)?.readQueueNums ?? 0) && groups.get(group) !== null,
    })
    const requestModes = await RequestModes.load(file('messageRequestMode.json'), popLogger)
    const popParts = { world, settings, store, topics, offsets, confirmations }
    const reviveLog = new ReviveLog({ store, clock: world.clock, settings, bornHost: storeHost })
    await bringUpProgress({
      store,
      topics,
      offsets,
      logger: popLogger,
      topic: reviveLog.topic,
      flushMs: settings.flushConsumerOffsetMs,
    })
    const pops = new Pops({ ...popParts, order, reviveLog, logger: popLogger })
    const reviver = new Reviver({
      ...popParts,
      groups,
      timers,
      stats,
      logger: popLogger,
      reviveLog,
    })
    const context: BrokerContext = {
      world,
      settings,
      store,
      topics,
      groups,
      offsets,
      filters,
      delay,
      timers,
      locks,
      transactions,
      checker,
      confirmations,
      order,
      reviveLog,
      pops,
      reviver,
      requestModes,
      replies: new RepliesUnderWay(),
      routes: new RouteView({ world, settings, topics }),
      clients,
      registration,
      stats,
      logger,
    }
    this.#context = context
    this.#writePath = new WritePath(context, storeHost)
    const readPath = new ReadPath(context)
    this.#readPath = readPath
    topics.onChange = (change) => {
      registration.onTopicChange(change)
      for (const name of change.deleted) {
        for (const queue of store.queuesOf(name)) readPath.onDeleted(queue)
        pops.onDeleted(name)
      }
    }
    offsets.onReset = (topic, queueId) => {
      readPath.onDispatched(store.queue(topic, queueId))
      pops.waiting.onDispatched(store.queue(topic, queueId))
    }
    return context
  }

  #hooks(): StoreHooks {
    return {
      onAdvanced: () => {
        this.#writePath?.answerOwed()
        this.#context?.confirmations.onAdvanced()
        // What was answered goes out now, not at the end of the next turn.
        this.#server?.flushList.flush()
        this.#fastServer?.flushList.flush()
      },
      onLost: (fromOffset, error) => {
        this.#writePath?.failOwed(fromOffset, `the log could not be written: ${error.message}`)
        this.#context?.delay.onLost(fromOffset)
        this.#context?.timers.onLost(fromOffset)
        this.#context?.transactions.onLost(fromOffset)
        this.#context?.confirmations.onLost(fromOffset)
        this.#context?.reviver.onLost(fromOffset)
      },
      onDispatched: (queue) => {
        this.#readPath?.onDispatched(queue)
        const context = this.#context
        if (context === null) return
        context.pops.waiting.onDispatched(queue)
        if (queue.delayMs > 0) context.delay.onDispatched(queue)
        else if (queue === context.timers.queue) context.timers.onDispatched()
        else if (queue.topic === context.reviver.topic) context.reviver.onDispatched()
      },
    }
  }

  #tick(): void {
    const nowMs = this.#world.clock.monotonicMs()
    this.#writePath?.tick(nowMs)
    this.#readPath?.tick(nowMs)
    this.#context?.confirmations.tick(nowMs)
    this.#context?.pops.waiting.tick(nowMs)
  }

  async #close(): Promise<void> {
    const context = this.#context
    await context?.registration.close()
    this.#gate.shut()
    this.#readPath?.close()
    context?.pops.waiting.close()
    await context?.reviver.stop()
    await context?.delay.stop()
    await context?.timers.stop()
    await context?.checker.stop()
    await this.#drain()
    this.#stopTick()
    this.#stopRetry()
    await Promise.all([this.#server?.close(), this.#fastServer?.close()])
    context?.clients.stop()
    context?.locks.stop()
    context?.routes.close()
    context?.stats.stop()
    const saves = [
      () => context?.transactions.stop(),
      () => context?.offsets.close(),
      () => context?.filters.close(),
      () => context?.order.close(),
      () => context?.topics.save(),
      () => context?.groups.save(),
      // What the levels delivered must be on the disk before it is noted as delivered.
      () => this.#store?.checkpointNow(),
      () => context?.delay.save(),
      () => context?.timers.save(),
    ]
    for (const save of saves) {
      try {
        await save()
      } catch (error) {
        // The others are saved all the same: each table counts by itself.
        this.#logger.error('a table could not be saved', { error: String(error) })
      }
    }
    await this.#store?.close()
  }

  /** Waits until everybody who sent has been answered, or the disk has had its time. */
  async #drain(): Promise<void> {
    const { clock } = this.#world
    const deadlineMs = clock.monotonicMs() + DRAIN_MS_MAX
    const owed = () =>
      (this.#writePath?.owedCount ?? 0) +
      (this.#context?.confirmations.count ?? 0) +
      (this.#context?.transactions.count ?? 0)
    while (owed() > 0 && clock.monotonicMs() < deadlineMs) {
      await new Promise<void>((resolve) => {
        clock.after(5, resolve)
      })
    }
  }
}

/**
 * Between the ports and the dispatch. Clients may connect while the store is still recovering; they are not
 * read from until the broker serves, and no new request is taken once it stops.
 */
class Gate implements ConnectionHandler {
  #dispatch: Dispatch | null = null
  #early: { connection: Connection; command: Command }[] = []
  #shut = false

  open(dispatch: Dispatch): void {
    this.#dispatch = dispatch
    const early = this.#early
    this.#early = []
    for (const { connection, command } of early) {
      connection.hold(false)
      if (!connection.isClosed) dispatch.onCommand(connection, command)
    }
  }

  shut(): void {
    this.#shut = true
  }

  onFrame(connection: Connection, bytes: Buffer, start: number, end: number): boolean {
    if (this.#dispatch === null || this.#shut) return false
    return this.#dispatch.onFrame(connection, bytes, start, end)
  }

  onCommand(connection: Connection, command: Command): void {
    if (this.#shut) return
    if (this.#dispatch === null) {
      this.#early.push({ connection, command })
      connection.hold(true)
    } else this.#dispatch.onCommand(connection, command)
  }

  onClose(connection: Connection): void {
    this.#dispatch?.onClose(connection)
  }
}

function* storedTopics(store: Store): Generator<readonly [string, number, boolean]> {
  for (const topic of store.topics()) {
    const queues = store.queuesOf(topic)
    const count = queues.reduce((most, queue) => Math.max(most, queue.queueId + 1), 0)
    yield [topic, count, areBatch(queues) ?? false] as const
  }
}

function areBatch(queues: readonly Queue[]): boolean | null {
  return queues.length === 0 ? null : queues.some((queue) => queue.units !== null)
}
