/**
 * Real peers for the interop tests: Apache RocketMQ's own jars, brokers and clients, fetched once
 * into `.cache/peers/` of the checkout (not under version control). Nothing here is needed by
 * `npm test`; where Maven or Java or the artifacts cannot be had, `missing` says why, and the tests
 * print that and skip.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The release that interop is promised for. */
export const apacheVersion = '5.5.0'

const checkout = fileURLToPath(new URL('../..', import.meta.url))
/** Where peers are kept between runs; not under version control. */
export const peerCache = join(checkout, '.cache', 'peers')

/** A folder that the test owns; removed by `removeFolder`. */
export function temporaryFolder(name: string): string {
  return fs.mkdtempSync(join(tmpdir(), `mqctl-${name}-`))
}

export function removeFolder(path: string): void {
  fs.rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
}

// ---------------------------------------------------------------- what is there

export interface ApachePeers {
  /** Class path with Apache RocketMQ and the test programs in java/. */
  readonly classPath: string
  readonly missing: null
}

export interface NoPeers {
  readonly classPath: null
  /** Why interop with Java cannot run here, for a person. */
  readonly missing: string
}

function isRunnable(command: string, argument: string): boolean {
  try {
    execFileSync(command, [argument], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Jars from Maven Central (`group:artifact:version`, perhaps `:classifier`) and Java sources of ours on top of them. */
export interface JavaWorld {
  /** Of the folder that the jars are kept in. */
  readonly name: string
  readonly artifacts: readonly string[]
  /** Folder beside this file with *.java. */
  readonly sources: string
}

const apacheWorld: JavaWorld = {
  name: `rocketmq-${apacheVersion}`,
  artifacts: ['namesrv', 'broker', 'example', 'tools'].map(
    (name) => `org.apache.rocketmq:rocketmq-${name}:${apacheVersion}`,
  ),
  sources: 'java',
}

/** Fetching and compiling take a fraction of this. */
const LOCK_OLD_MS = 360_000

function pomOf(artifacts: readonly string[]): string {
  const dependencies = artifacts.map((artifact) => {
    const [group = '', name = '', version = '', classifier] = artifact.split(':')
    return (
      `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId>` +
      `<version>${version}</version>` +
      (classifier === undefined ? '' : `<classifier>${classifier}</classifier>`) +
      '</dependency>'
    )
  })
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>peers</groupId><artifactId>peers</artifactId><version>1</version>
  <dependencies>
    ${dependencies.join('\n    ')}
  </dependencies>
</project>
`
}

/** The jars' folder; fetched when it is not there. Throws with the reason. */
async function fetchJars(world: JavaWorld): Promise<string> {
  const jars = join(peerCache, world.name)
  const done = join(jars, '.complete')
  if (fs.existsSync(done)) return jars
  if (!isRunnable('mvn', '-v')) throw new Error('Maven (mvn) is not installed')
  fs.mkdirSync(jars, { recursive: true })
  const pomFile = join(peerCache, `${world.name}.xml`)
  fs.writeFileSync(pomFile, pomOf(world.artifacts))
  try {
    await run(
      'mvn',
      ['-q', '-B', '-f', pomFile, 'dependency:copy-dependencies', `-DoutputDirectory=${jars}`],
      { timeout: 300_000, maxBuffer: 64 << 20 },
    )
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    const cause = /\[ERROR\][^\n]*/.exec(text)?.[0] ?? text.split('\n')[0] ?? ''
    throw new Error(`Maven cannot fetch ${world.name}: ${cause.slice(0, 300)}`, { cause: error })
  }
  fs.writeFileSync(done, '')
  return jars
}

/** Compiles the sources into a folder named by their content. */
async function compilePrograms(world: JavaWorld, jars: string): Promise<string> {
  const folder = fileURLToPath(new URL(world.sources, import.meta.url))
  const sources = fs
    .readdirSync(folder)
    .filter((name) => name.endsWith('.java'))
    .map((name) => join(folder, name))
  const hash = createHash('sha256').update(world.artifacts.join())
  for (const source of sources) hash.update(fs.readFileSync(source))
  const classes = join(peerCache, `classes-${hash.digest('hex').slice(0, 16)}`)
  const done = join(classes, '.complete')
  if (fs.existsSync(done)) return classes
  fs.mkdirSync(classes, { recursive: true })
  await run('javac', ['-nowarn', '-d', classes, '-cp', join(jars, '*'), ...sources])
  fs.writeFileSync(done, '')
  return classes
}

/** One test process at a time fills the cache. A lock that was left behind by a killed one grows old. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  const lock = join(peerCache, 'lock')
  fs.mkdirSync(peerCache, { recursive: true })
  const take = () => {
    try {
      fs.mkdirSync(lock)
      return true
    } catch (error) {
      const age = Date.now() - (fs.statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0)
      if (age > LOCK_OLD_MS) fs.rmSync(lock, { recursive: true, force: true })
      throw error
    }
  }
  await until('the cache of peers', take, LOCK_OLD_MS)
  try {
    return await work()
  } finally {
    fs.rmSync(lock, { recursive: true, force: true })
  }
}

/** Makes Java programs runnable (Apache RocketMQ and the test programs, by default), or says why that cannot be. */
export async function apacheClassPath(world = apacheWorld): Promise<ApachePeers | NoPeers> {
  try {
    for (const command of ['java', 'javac']) {
      if (!isRunnable(command, '-version')) throw new Error(`${command} is not installed`)
    }
    return await alone(async () => {
      const jars = await fetchJars(world)
      const classes = await compilePrograms(world, jars)
      return { classPath: `${classes}:${join(jars, '*')}`, missing: null }
    })
  } catch (error) {
    return { classPath: null, missing: error instanceof Error ? error.message : String(error) }
  }
}

/** Prints why a part of the interop tests does not run; answers true then, for `skipIf`. */
export function skipBecause(what: string, reason: string | null): boolean {
  if (reason === null) return false
  process.stderr.write(`interop: ${what} SKIPPED: ${reason}\n`)
  return true
}

// ---------------------------------------------------------------- ports and processes

/**
 * A port where its neighbours are free as well (Apache opens −2 and +1). Below the range that the
 * system gives to connections, where thousands may linger after a test.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = 10_000 + Math.floor(Math.random() * 22_000)
    const neighbours = await Promise.all([port - 2, port, port + 1].map(isFree))
    if (neighbours.every(Boolean)) return port
  }
  throw new Error('no free ports')
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.on('error', () => {
      resolve(false)
    })
    probe.listen(port, '127.0.0.1', () => {
      probe.close(() => {
        resolve(true)
      })
    })
  })
}

/** Asks again every few milliseconds until the answer is not null. Throws after `timeoutMs`. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | null> | T | null,
  timeoutMs = 120_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  let last: unknown = null
  while (performance.now() < deadline) {
    try {
      const answer = await ask()
      if (answer !== null) return answer
    } catch (error) {
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`${what}: not within ${timeoutMs} ms`, { cause: last })
}

/** True when something accepts connections there. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => {
      resolve(false)
    })
  })
}

/** What a name server says of its cluster (GET_BROKER_CLUSTER_INFO), as text. */
function clusterInfo(namesrv: string): Promise<string> {
  const [host = '', port = ''] = namesrv.split(':')
  const header = Buffer.from('{"code":106,"flag":0,"language":"JAVA","opaque":1,"version":479}')
  const lengths = Buffer.alloc(8)
  lengths.writeUInt32BE(4 + header.length, 0)
  lengths.writeUInt32BE(header.length, 4)
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port) })
    let answer = Buffer.alloc(0)
    socket.on('connect', () => socket.write(Buffer.concat([lengths, header])))
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk])
      if (answer.length < 4 || answer.length < 4 + answer.readUInt32BE(0)) return
      socket.destroy()
      resolve(answer.toString('utf8'))
    })
    socket.on('error', reject)
  })
}

/** Ends a process and waits until it is gone. */
export async function endProcess(
  child: ChildProcess,
  signal: 'SIGTERM' | 'SIGKILL',
  timeoutMs = 30_000,
): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => {
      resolve()
    })
  })
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  await gone
  clearTimeout(timer)
}

// ---------------------------------------------------------------- Apache's name server and broker

/** A running pair of name server and broker, whoever made them. */
export interface Cluster {
  readonly kind: 'apache' | 'mqctl'
  readonly namesrv: string
  readonly brokerAddress: string
  readonly brokerName: string
  readonly clusterName: string
  /** The broker's store (commitlog, consumequeue, …). */
  readonly storeDirectory: string
  readonly brokerPid: number
  /** Clean stop of everything. */
  stop(): Promise<void>
  /** kill -9 of everything. */
  kill(): Promise<void>
}

export interface ApacheOptions {
  readonly classPath: string
  /** Existing store directory; otherwise one of its own, removed at stop. */
  readonly storeDirectory?: string
  /** Further lines of broker.conf. */
  readonly brokerConf?: Record<string, string>
  /** An existing name server to register with, instead of one of its own. */
  readonly namesrv?: string
  readonly brokerName?: string
  /** Heap of the broker, as for -Xmx. */
  readonly heap?: string
  /** Further JVM options of the broker. */
  readonly javaOptions?: readonly string[]
}

function java(
  classPath: string,
  home: string,
  options: readonly string[],
  log: string,
): ChildProcess {
  const out = fs.openSync(log, 'a')
  const child = spawn('java', [`-Duser.home=${home}`, '-cp', classPath, ...options], {
    cwd: home,
    env: { ...process.env, ROCKETMQ_HOME: join(home, 'home') },
    stdio: ['ignore', out, out],
  })
  fs.closeSync(out)
  return child
}

/** Starts Apache's name server and broker; ready means that the broker is in the cluster list. */
export async function startApache(options: ApacheOptions): Promise<Cluster> {
  const home = temporaryFolder('apache')
  fs.mkdirSync(join(home, 'home', 'conf'), { recursive: true })
  const children: ChildProcess[] = []
  // A store that outlives the broker needs a clean stop, which takes Apache's some seconds.
  const signal = options.storeDirectory === undefined ? 'SIGKILL' : 'SIGTERM'
  const endBy = async (how: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    for (const child of [...children].reverse()) await endProcess(child, how, 60_000)
    removeFolder(home)
  }
  const end = (): Promise<void> => endBy(signal)
  try {
    let namesrv = options.namesrv
    if (namesrv === undefined) {
      const port = await freePort()
      fs.writeFileSync(join(home, 'namesrv.conf'), `listenPort=${port}\n`)
      children.push(
        java(
          options.classPath,
          home,
          [
            '-Xms64m',
            '-Xmx256m',
            '-XX:TieredStopAtLevel=1',
            'org.apache.rocketmq.namesrv.NamesrvStartup',
            '-c',
            'namesrv.conf',
          ],
          join(home, 'namesrv.out'),
        ),
      )
      await until('Apache name server', async () => ((await answers(port)) ? true : null))
      namesrv = `127.0.0.1:${port}`
    }
    const port = await freePort()
    const store = options.storeDirectory ?? join(home, 'store')
    const brokerName = options.brokerName ?? 'broker-a'
    const conf: Record<string, string> = {
      brokerClusterName: 'DefaultCluster',
      brokerName,
      brokerId: '0',
      brokerIP1: '127.0.0.1',
      listenPort: String(port),
      // Without it Apache takes the port after listenPort, which may be anybody's.
      haListenPort: String(await freePort()),
      namesrvAddr: namesrv,
      storePathRootDir: store,
      storePathCommitLog: join(store, 'commitlog'),
      ...options.brokerConf,
    }
    fs.writeFileSync(
      join(home, 'broker.conf'),
      Object.entries(conf)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
    )
    const log = join(home, 'broker.out')
    const heap = options.heap ?? '512m'
    const broker = java(
      options.classPath,
      home,
      [
        `-Xms${heap}`,
        `-Xmx${heap}`,
        '-XX:+UseG1GC',
        '-XX:MaxDirectMemorySize=512m',
        ...(options.javaOptions ?? []),
        'org.apache.rocketmq.broker.BrokerStartup',
        '-c',
        'broker.conf',
      ],
      log,
    )
    children.push(broker)
    const refusal = await until('Apache broker', () => {
      const text = fs.readFileSync(log, 'utf8')
      if (text.includes('boot success')) return 'none'
      // Refused by the lock, it takes half a minute to end; its word is enough.
      return broker.exitCode !== null || text.includes('Lock failed') ? text : null
    })
    if (refusal !== 'none') throw new BrokerRefused(refusal)
    // It says so before it has registered, and until then clients find no route.
    const servers = namesrv
    await until('registration of the Apache broker', async () =>
      (await clusterInfo(servers)).includes(`"${brokerName}"`) ? true : null,
    )
    return {
      kind: 'apache',
      namesrv,
      brokerAddress: `127.0.0.1:${port}`,
      brokerName,
      clusterName: 'DefaultCluster',
      storeDirectory: store,
      brokerPid: broker.pid ?? 0,
      stop: end,
      kill: () => endBy('SIGKILL'),
    }
  } catch (error) {
    await end()
    throw error
  }
}

/** Apache's broker ended instead of starting; the message is what it printed. */
export class BrokerRefused extends Error {}

// ---------------------------------------------------------------- official Java clients

export interface PeerError {
  readonly class: string
  readonly message: string
  /** The broker's response code; null when no answer came. */
  readonly code: number | null
  readonly remark: string | null
}

/** A call on the Java side failed; `peer` has its class, text and response code. */
export class PeerFailure extends Error {
  readonly peer: PeerError

  constructor(call: string, peer: PeerError) {
    super(`${call}: ${peer.message}`)
    this.peer = peer
  }
}

/** One send, as the official client saw it answered. */
export interface Sent {
  readonly status: string
  readonly messageId: string
  readonly offsetMessageId: string
  readonly queueId: number
  readonly broker: string
  readonly queueOffset: number
  /** Of a message that waits for a time of its own. */
  readonly recallHandle?: string
}

/** One message, as an official client received it; `body` in base64. */
export interface Received {
  readonly topic: string
  readonly broker: string | null
  readonly queueId: number
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly storeSize: number
  readonly bodyCrc: number
  readonly messageId: string
  readonly offsetMessageId: string
  readonly keys: string | null
  readonly tags: string | null
  readonly flag: number
  readonly sysFlag: number
  readonly reconsumeTimes: number
  readonly bornAt: number
  readonly storedAt: number
  readonly bornHost: string
  readonly properties: Record<string, string>
  readonly body: string
}

/** A JVM with official clients; java/Peer.java has the calls. */
export class JavaPeer {
  readonly #child: ChildProcess
  readonly #home: string
  readonly #waiting = new Map<
    number,
    { call: string; resolve: (value: unknown) => void; reject: (error: Error) => void }
  >()
  #nextId = 1
  #ended: Error | null = null
  readonly chatter: string[] = []

  private constructor(child: ChildProcess, home: string) {
    this.#child = child
    this.#home = home
  }

  /** `options` are JVM options, such as `-Drocketmq.serialize.type=ROCKETMQ`. */
  static async start(classPath: string, options: readonly string[] = []): Promise<JavaPeer> {
    const home = temporaryFolder('java')
    const child = spawn(
      'java',
      [
        '-Xmx384m',
        '-XX:TieredStopAtLevel=1',
        `-Duser.home=${home}`,
        `-Dclient.logRoot=${home}`,
        ...options,
        '-cp',
        classPath,
        'Peer',
      ],
      { stdio: ['pipe', 'pipe', 'pipe'], cwd: home },
    )
    const peer = new JavaPeer(child, home)
    const ready = new Promise((resolve, reject) => {
      peer.#waiting.set(0, { call: 'start', resolve, reject })
    })
    const onLine = (line: string): void => {
      peer.#onLine(line)
    }
    createInterface({ input: child.stdout }).on('line', onLine)
    createInterface({ input: child.stderr }).on('line', onLine)
    child.on('exit', (code) => {
      const error = new Error(`the JVM ended (${code}): ${peer.chatter.slice(-20).join('\n')}`)
      peer.#ended = error
      for (const waiting of peer.#waiting.values()) waiting.reject(error)
      peer.#waiting.clear()
    })
    await ready
    return peer
  }

  #onLine(line: string): void {
    if (!line.startsWith('@')) {
      this.chatter.push(line)
      return
    }
    const answer = JSON.parse(line.slice(1)) as { id: number; result?: unknown; error?: PeerError }
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (!waiting) return
    if (answer.error) waiting.reject(new PeerFailure(waiting.call, answer.error))
    else waiting.resolve(answer.result)
  }

  /** Runs one call of java/*.java and answers its result. Throws PeerFailure. */
  call<T = unknown>(call: string, request: Record<string, unknown> = {}): Promise<T> {
    if (this.#ended) return Promise.reject(this.#ended)
    const id = this.#nextId++
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { call, resolve: resolve as (value: unknown) => void, reject })
      this.#child.stdin?.write(`${JSON.stringify({ id, do: call, ...request })}\n`)
    })
  }

  /** The same call where a refusal is expected: answers the error. */
  async refused(call: string, request: Record<string, unknown> = {}): Promise<PeerError> {
    try {
      await this.call(call, request)
    } catch (error) {
      if (error instanceof PeerFailure) return error.peer
      throw error
    }
    throw new Error(`${call} was not refused`)
  }

  /** A topic on the broker and at its name server; answers its name. */
  async createTopic(
    on: Cluster,
    topic: string,
    queues: number,
    attributes: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const { namesrv, brokerAddress: broker } = on
    await this.call('admin.createTopic', { namesrv, broker, topic, queues, attributes })
    return topic
  }

  /** What Apache's mqadmin prints for these arguments (it exits 0 whatever happens). */
  mqadmin(...args: string[]): Promise<string> {
    return this.call<string>('mqadmin', { args })
  }

  /** kill -9: its clients say goodbye to nobody. */
  async kill(): Promise<void> {
    await endProcess(this.#child, 'SIGKILL')
    removeFolder(this.#home)
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end()
    await endProcess(this.#child, 'SIGTERM', 5000)
    removeFolder(this.#home)
  }
}
