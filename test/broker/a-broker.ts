import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { silentLogger } from '../../src/base/logger.ts'
import { type BrokerStart, type RunningBroker, startBroker } from '../../src/broker/broker.ts'
import type { RuntimeProbe } from '../../src/broker/runtime-probe.ts'
import type { ConsumerData } from '../../src/protocol/bodies/consumer-data.ts'
import { encodeHeartbeatData } from '../../src/protocol/bodies/heartbeat-data.ts'
import { tagSubscription } from '../../src/protocol/bodies/subscription-data.ts'
import { RequestCode } from '../../src/protocol/codes.ts'
import type { Command } from '../../src/protocol/command.ts'
import { type ExtValues, request } from '../../src/protocol/command.ts'
import { RemotingClient } from '../../src/remoting/client.ts'
import type { Connection } from '../../src/remoting/connection.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import type { World } from '../../src/world/world.ts'

const KIB = 1024
/** Small files, so that a test writes little. */
export const smallStore = {
  segmentBytes: 1024 * KIB,
  queueFileBytes: 20_000,
  indexSlots: 1_000,
  indexUnits: 10_000,
  tailBytes: 256 * KIB,
  chunkBytes: 64 * KIB,
}

const open: { close(): unknown }[] = []

/** For afterEach: closes what the helpers here opened, the newest first. */
export async function closeAll(): Promise<void> {
  for (const one of open.splice(0).reverse()) await one.close()
}

export interface TestBroker {
  readonly broker: RunningBroker
  readonly dir: string
  /** A new client connection of its own. */
  connect(): TestClient
}

export async function aFolder(): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'mqctl-broker-'))
  open.push({ close: () => rm(dir, { recursive: true, force: true }) })
  return dir
}

export async function aBroker(
  options: Omit<Partial<BrokerStart>, 'store'> & { store?: Partial<BrokerStart['store']> } = {},
  probe: RuntimeProbe | null = null,
  world: World = nodeWorld,
): Promise<TestBroker> {
  const { store, ...own } = options
  const dir = store?.dir ?? (await aFolder())
  const broker = await startBroker(
    world,
    { port: 0, fastPort: false, ...own, store: { ...smallStore, ...store, dir } },
    silentLogger,
    probe,
  )
  open.push(broker)
  return { broker, dir, connect: () => new TestClient(broker.port) }
}

/** One connection to a broker, with the requests that tests need often. */
export class TestClient {
  /** Requests of the broker to this client. */
  readonly asked: Command[] = []
  /** Answers what the broker asks; by default nothing. */
  onRequest: (connection: Connection, command: Command) => void = () => undefined
  readonly #client: RemotingClient
  readonly #address: string

  constructor(port: number) {
    this.#address = `127.0.0.1:${port}`
    this.#client = new RemotingClient(nodeWorld, {
      onRequest: (connection, command) => {
        this.asked.push(command)
        this.onRequest(connection, command)
      },
    })
    open.push(this)
  }

  ask(code: number, ext: ExtValues = {}, body: Buffer | string | null = null): Promise<Command> {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    return this.#client.invoke(this.#address, request(code, ext, bytes), 5_000)
  }

  oneway(code: number, ext: ExtValues = {}): Promise<void> {
    return this.#client.oneway(this.#address, request(code, ext))
  }

  async send(topic: string, body: string, queueId = 0, properties = ''): Promise<Command> {
    return this.ask(
      RequestCode.SEND_MESSAGE_V2,
      {
        a: 'PG',
        b: topic,
        c: 'TBW102',
        d: 4,
        e: queueId,
        f: 0,
        g: Math.floor(nodeWorld.clock.wallMs()),
        h: 0,
        i: properties,
        j: 0,
        k: false,
        m: false,
      },
      body,
    )
  }

  pull(topic: string, group: string, offset: number, given: ExtValues = {}): Promise<Command> {
    return this.ask(RequestCode.PULL_MESSAGE, {
      consumerGroup: group,
      topic,
      queueId: 0,
      queueOffset: offset,
      maxMsgNums: 32,
      sysFlag: 4,
      commitOffset: 0,
      suspendTimeoutMillis: 1_000,
      subscription: '*',
      subVersion: 0,
      ...given,
    })
  }

  /** A heart-beat of a consumer (and of a producer in the group PG). */
  heartBeat(
    clientId: string,
    group: string,
    topics: readonly string[],
    given: Partial<ConsumerData> = {},
  ): Promise<Command> {
    const body = encodeHeartbeatData({
      clientId,
      producerGroups: ['PG'],
      consumers: [
        {
          groupName: group,
          consumeType: 'CONSUME_PASSIVELY',
          messageModel: 'CLUSTERING',
          consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
          subscriptions: topics.map((topic) => tagSubscription(topic, '*', 1)),
          unitMode: false,
          ...given,
        },
      ],
      heartbeatFingerprint: 0,
      withoutSub: false,
    })
    return this.ask(RequestCode.HEART_BEAT, {}, body)
  }

  close(): void {
    this.#client.close()
  }
}
