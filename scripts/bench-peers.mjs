/**
 * What the comparisons (`npm run bench:*`) share: a broker of ours and one of Apache's, each with a
 * name server, on free ports and in directories of their own, and the arithmetic of paired runs.
 */
import { execFileSync, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism, cpus, totalmem } from 'node:os'
import path from 'node:path'

const root = path.join(import.meta.dirname, '..')
const apacheVersion = '5.5.0'

/** The shipped entry, or another build of it. */
export const mqctlBinary = process.env.MQCTL_TEST_BIN ?? path.join(root, 'bin', 'run.js')

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// ---------------------------------------------------------------- Apache's jars

const pom = (version) => `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>peers</groupId><artifactId>peers</artifactId><version>1</version>
  <dependencies>${['namesrv', 'broker', 'example', 'tools']
    .map(
      (name) => `<dependency><groupId>org.apache.rocketmq</groupId>
      <artifactId>rocketmq-${name}</artifactId><version>${version}</version></dependency>`,
    )
    .join('')}</dependencies>
</project>
`

/** The folder with Apache RocketMQ's jars; fetched by Maven when it is not there. */
export function apacheJars() {
  const jars = path.join(root, '.cache', 'peers', `rocketmq-${apacheVersion}`)
  if (fs.existsSync(path.join(jars, '.complete'))) return jars
  fs.mkdirSync(jars, { recursive: true })
  fs.writeFileSync(`${jars}.xml`, pom(apacheVersion))
  execFileSync(
    'mvn',
    ['-q', '-B', '-f', `${jars}.xml`, 'dependency:copy-dependencies', `-DoutputDirectory=${jars}`],
    { stdio: 'inherit' },
  )
  fs.writeFileSync(path.join(jars, '.complete'), '')
  return jars
}

// ---------------------------------------------------------------- processes

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.on('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
}

async function until(what, ask, timeoutMs = 60_000) {
  const deadline = performance.now() + timeoutMs
  while (performance.now() < deadline) {
    const answer = ask()
    if (answer) return answer
    await sleep(20)
  }
  throw new Error(`${what}: not within ${timeoutMs} ms`)
}

/** Everything that this run started: nothing of it may outlive the run, however that ends. */
const living = new Set()

function keep(child) {
  living.add(child)
  child.on('exit', () => living.delete(child))
  return child
}

process.on('exit', () => {
  for (const child of living) child.kill(child.endsBy)
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130))

function ended(child) {
  return child.exitCode !== null || child.signalCode !== null
}

async function end(child) {
  if (ended(child)) return
  child.kill('SIGCONT')
  child.kill(child.endsBy)
  await until('end of a process', () => ended(child), 60_000)
}

/**
 * Starts Apache's name server and broker. Answers {name, version, flags, host, port, namesrv, pid,
 * readyMs, stop, pause, resume}. `readyMs` is from the first process's start to "boot success".
 */
export async function startApache({ directory, flush = 'async', heap = '4g', settings = {} }) {
  const jars = apacheJars()
  const home = path.join(directory, `apache-${process.pid}-${Date.now()}`)
  fs.mkdirSync(path.join(home, 'home', 'conf'), { recursive: true })
  const java = (log, ...args) => {
    const out = fs.openSync(path.join(home, log), 'a')
    const child = spawn('java', [`-Duser.home=${home}`, '-cp', path.join(jars, '*'), ...args], {
      cwd: home,
      env: { ...process.env, ROCKETMQ_HOME: path.join(home, 'home') },
      stdio: ['ignore', out, out],
    })
    fs.closeSync(out)
    // Its store is thrown away: a clean stop, which takes Apache's tens of seconds, gains nothing.
    child.endsBy = 'SIGKILL'
    return keep(child)
  }
  const printed = (log) => fs.readFileSync(path.join(home, log), 'utf8')
  const [namesrvPort, port, haPort] = [await freePort(), await freePort(), await freePort()]
  const namesrv = `127.0.0.1:${namesrvPort}`
  const start = performance.now()
  fs.writeFileSync(path.join(home, 'namesrv.conf'), `listenPort=${namesrvPort}\n`)
  const names = java(
    'namesrv.out',
    ...['-Xms512m', '-Xmx512m', 'org.apache.rocketmq.namesrv.NamesrvStartup', '-c', 'namesrv.conf'],
  )
  await until('Apache name server', () => printed('namesrv.out').includes('boot success'))
  const conf = {
    brokerClusterName: 'DefaultCluster',
    brokerName: 'broker-a',
    brokerId: '0',
    brokerIP1: '127.0.0.1',
    listenPort: String(port),
    haListenPort: String(haPort),
    namesrvAddr: namesrv,
    storePathRootDir: path.join(home, 'store'),
    storePathCommitLog: path.join(home, 'store', 'commitlog'),
    flushDiskType: flush === 'sync' ? 'SYNC_FLUSH' : 'ASYNC_FLUSH',
    ...settings,
  }
  fs.writeFileSync(
    path.join(home, 'broker.conf'),
    Object.entries(conf)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  )
  const flags = [`-Xms${heap}`, `-Xmx${heap}`, '-XX:+UseG1GC', '-XX:MaxDirectMemorySize=4g']
  const broker = java(
    'broker.out',
    ...flags,
    'org.apache.rocketmq.broker.BrokerStartup',
    '-c',
    'broker.conf',
  )
  await until('Apache broker', () => {
    if (ended(broker)) throw new Error(`Apache's broker ended: ${printed('broker.out')}`)
    return printed('broker.out').includes('boot success')
  })
  const readyMs = performance.now() - start
  return {
    name: 'apache',
    version: `Apache RocketMQ ${apacheVersion}`,
    flags: `${flags.join(' ')} flushDiskType=${conf.flushDiskType}`,
    host: '127.0.0.1',
    port,
    namesrv,
    store: conf.storePathRootDir,
    pid: broker.pid,
    readyMs,
    pause: () => [broker, names].forEach((child) => child.kill('SIGSTOP')),
    resume: () => [broker, names].forEach((child) => child.kill('SIGCONT')),
    async stop() {
      await end(broker)
      await end(names)
      fs.rmSync(home, { recursive: true, force: true })
    },
  }
}

/** Starts ours (or the build whose entry is `binary`) with `mqctl start`; the same answer as startApache. */
export async function startMqctl({
  directory,
  flush = 'async',
  settings = {},
  dataDir = null,
  binary = mqctlBinary,
}) {
  const home = path.join(directory, `mqctl-${process.pid}-${Date.now()}`)
  const data = dataDir ?? path.join(home, 'data')
  fs.mkdirSync(data, { recursive: true })
  const sets = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`])
  const start = performance.now()
  const child = spawn(
    process.execPath,
    [
      binary,
      ...['start', 'bench', '--any-port', '--json', '--quiet', '--data-dir', data],
      ...['--flush', flush, ...sets],
    ],
    {
      env: {
        ...process.env,
        XDG_DATA_HOME: path.join(home, 'share'),
        XDG_STATE_HOME: path.join(home, 'state'),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  // Its roles end with it; one that is paused must hear of that.
  child.endsBy = 'SIGTERM'
  keep(child)
  let printed = ''
  let status = null
  child.stdout.setEncoding('utf8').on('data', (text) => {
    printed += text
    try {
      status = JSON.parse(printed)
    } catch {
      // not whole yet
    }
  })
  await until('mqctl start', () => {
    if (ended(child)) throw new Error(`mqctl start ended: ${printed}`)
    return status
  })
  const readyMs = performance.now() - start
  const [broker] = status.brokers
  const colon = broker.address.lastIndexOf(':')
  const pids = [...status.nameServers, ...status.brokers].map((role) => role.pid)
  const resume = () => {
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGCONT')
      } catch {
        // gone already
      }
    }
  }
  process.on('exit', resume)
  const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
  return {
    name: 'mqctl',
    version: `mqctl ${version}`,
    flags: `--flush ${flush} ${sets.join(' ')}`.trim(),
    host: broker.address.slice(0, colon),
    port: Number(broker.address.slice(colon + 1)),
    namesrv: status.namesrv.join(';'),
    store: path.join(data, broker.name),
    pid: broker.pid,
    pids,
    readyMs,
    pause: () => pids.forEach((pid) => process.kill(pid, 'SIGSTOP')),
    resume,
    async stop() {
      resume()
      await end(child)
      fs.rmSync(home, { recursive: true, force: true })
    },
    /** As a crash does: everything at once, nothing flushed by us. */
    async kill() {
      for (const pid of [child.pid, ...pids]) process.kill(pid, 'SIGKILL')
      await until('end of mqctl', () => ended(child))
    },
  }
}

/** Runs `mqctl bench` with these arguments to its end and answers its result document. */
export async function runBench(args) {
  const child = spawn(process.execPath, [mqctlBinary, 'bench', '--json', '--quiet', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => (text += chunk))
  await new Promise((resolve) => child.on('close', resolve))
  const result = JSON.parse(text)
  if (result.error) throw new Error(`mqctl bench: ${result.error.message}`)
  return result
}

// ---------------------------------------------------------------- figures

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** "2.86 (2.65–2.88)" */
export function spread(values, digits = 2) {
  const low = Math.min(...values).toFixed(digits)
  const high = Math.max(...values).toFixed(digits)
  return `${median(values).toFixed(digits)} (${low}–${high})`
}

/** What the runs were made on, one line. */
export function machineLine(directory) {
  let kind = 'unknown file system'
  try {
    kind = execFileSync('stat', ['-f', '-c', '%T', directory]).toString().trim()
  } catch {
    // stat -f is Linux's
  }
  const durability = kind === 'tmpfs' ? ' (durability "memory": fsync is free there)' : ''
  return (
    `node ${process.version}, ${availableParallelism()} × ${cpus()[0]?.model ?? 'cpu'}, ` +
    `${(totalmem() / 2 ** 30).toFixed(0)} GiB, store on ${kind}${durability}`
  )
}

/** Writes back what is dirty, so that one run's pages are not the next run's problem. */
export function writeBack() {
  execFileSync('sync')
}
