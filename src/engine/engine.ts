/**
 * The embedded engine: a plan becomes role processes, and an instance knows how to end. `mqctl
 * start` runs one of these in the foreground, a detached supervisor runs one in the background, and
 * a bench runs one on free ports in a directory of its own.
 *
 * Order of a start: lock the state directory, check settings and ports, start all processes at once (loading
 * takes longest), name servers first get their configuration, then brokers with the name servers'
 * addresses, then topics are made; run.json is written as soon as the processes exist, so that whatever happens later,
 * somebody can find them.
 */
import path from 'node:path'
import { MqError } from '../base/errors.ts'
import type { DiskLock } from '../world/disk.ts'
import type { World } from '../world/world.ts'
import {
  abandonRunFile,
  forgetEmptyInstance,
  readRunFile,
  retireRunFile,
  writeRunFile,
  statusOf,
  type InstanceStatus,
  type RoleFacts,
  type RunFile,
} from './instance.ts'
import { makeDataDirectory } from './directories.ts'
import { ensureTopics } from './planned-topics.ts'
import { brokerPort, checkPortsFree, localAddress, nameServerPort } from './ports.ts'
import { identityOf, isAlive } from './process-identity.ts'
import { roleScripts } from './roles/scripts.ts'
import { Supervisor, type RoleEnd, type RoleProcess } from './supervisor.ts'
import { brokerConfigs, nameServerConfigs, type InstancePlan, type RoleConfig } from './topology.ts'

export interface InstanceOptions {
  /** Where run.json, lock and logs go. */
  readonly stateDir: string
  /** A role ended; `expected` when this instance was stopping it. */
  readonly onRoleEnd?: (end: RoleEnd) => void
  /** How long a role may take to be ready; a big recovery takes its time. Default 120 s. */
  readonly readyTimeoutMs?: number
  /** Command that runs the roles somewhere else, such as in another network; none by default. */
  readonly launcher?: readonly string[]
  /** Scripts of the roles; tests put their own here. */
  readonly scripts?: RoleScripts
}

export interface RoleScripts {
  readonly nameserver: URL
  readonly broker: URL
}

const READY_TIMEOUT_MS = 120_000

/** A stop flushes what is staged; beyond this it is killed. */
const STOP_TIMEOUT_MS = 20_000

export class Instance {
  readonly #world: World
  readonly #stateDir: string
  readonly #plan: InstancePlan
  readonly #release: () => Promise<void>
  readonly #supervisor: Supervisor
  #brokers: RoleProcess[] = []
  #nameServers: RoleProcess[] = []
  #run: RunFile

  private constructor(world: World, plan: InstancePlan, options: InstanceOptions, lock: DiskLock) {
    this.#world = world
    this.#plan = plan
    this.#stateDir = options.stateDir
    this.#release = once(() => lock.release())
    this.#supervisor = new Supervisor(world, {
      logDir: options.stateDir,
      readyTimeoutMs: options.readyTimeoutMs ?? READY_TIMEOUT_MS,
      ...(options.launcher === undefined ? {} : { launcher: options.launcher }),
      onEnd: (end) => options.onRoleEnd?.(end),
    })
    this.#run = {
      version: 1,
      name: plan.name,
      supervisor: identityOf(process.pid),
      startedAt: new Date(world.clock.wallMs()).toISOString(),
      ready: false,
      dataDir: plan.dataDir,
      roles: [],
      plan,
    }
  }

  /**
   * Starts all roles and waits until they serve. Throws ALREADY_RUNNING, CONFIG_INVALID, PORT_TAKEN,
   * START_FAILED or what a role says; nothing is left running then.
   */
  static async start(
    world: World,
    plan: InstancePlan,
    options: InstanceOptions,
  ): Promise<Instance> {
    await world.disk.makeDirectory(options.stateDir)
    const lock = await world.disk.lock(path.join(options.stateDir, 'lock'))
    const before = readRunFile(options.stateDir)
    if (lock === null) {
      throw new MqError('ALREADY_RUNNING', { name: plan.name, pid: before?.supervisor.pid ?? '?' })
    }
    const instance = new Instance(world, plan, options, lock)
    try {
      if (before !== null) refuseLeftovers(before)
      await checkSettings(plan.settings)
      await checkPortsFree(world, plan.bind, fixedPorts(plan))
      makeDataDirectory(plan.dataDir)
      await instance.#startRoles(options.scripts ?? roleScripts)
      return instance
    } catch (error) {
      await instance.#abandon(before)
      throw error
    }
  }

  get status(): InstanceStatus {
    return statusOf(this.#run, this.#stateDir)
  }

  /** Roles that live. */
  get living(): number {
    return this.#supervisor.living
  }

  /** Stops brokers, then name servers; SIGKILL after the time-out. Calling it twice is harmless. */
  async stop(timeoutMs = STOP_TIMEOUT_MS): Promise<void> {
    await this.#endRoles(timeoutMs)
    retireRunFile(this.#stateDir)
    await this.#release()
  }

  /**
   * Kills a broker with SIGKILL and starts it again where it was: same directory, same port. Resolves
   * when it serves. Throws START_FAILED.
   */
  async crashBroker(index: number): Promise<void> {
    const role = this.#brokers[index]
    const nameServers = this.#run.roles.filter(({ role: kind }) => kind === 'nameserver')
    const addresses = nameServers.map(({ port }) => localAddress(this.#plan.bind, port))
    const config = brokerConfigs(this.#plan, addresses)[index]
    const facts = this.#run.roles.find(({ name }) => name === role?.name)
    if (role === undefined || config === undefined || facts === undefined) return
    await role.kill()
    const next = this.#supervisor.spawn(role.name, roleScripts.broker)
    this.#brokers[index] = next
    const started = this.#facts({ ...config, port: facts.port }, next, facts.port)
    this.#note(this.#run.roles.map((row) => (row === facts ? started : row)))
    await next.start({ ...config, port: facts.port })
    this.#note(this.#run.roles, true)
  }

  /**
   * Ends what a failed start began: nothing runs, and nothing says that it ever did. Logs of roles stay
   * for whoever wants to know why.
   */
  async #abandon(before: RunFile | null): Promise<void> {
    await this.#endRoles(STOP_TIMEOUT_MS)
    if (this.#brokers.length > 0) abandonRunFile(this.#stateDir, before)
    else if (before === null) forgetEmptyInstance(this.#stateDir)
    await this.#release()
  }

  async #endRoles(timeoutMs: number): Promise<void> {
    await Promise.all(this.#brokers.map((role) => role.stop(timeoutMs)))
    await this.#supervisor.stopAll(timeoutMs)
  }

  async #startRoles(scripts: RoleScripts): Promise<void> {
    const plannedNames = nameServerConfigs(this.#plan)
    const plannedBrokers = brokerConfigs(this.#plan, [])
    this.#nameServers = plannedNames.map(({ name }) =>
      this.#supervisor.spawn(name, scripts.nameserver),
    )
    this.#brokers = plannedBrokers.map(({ name }) => this.#supervisor.spawn(name, scripts.broker))
    this.#note([
      ...plannedNames.map((config, index) => this.#facts(config, this.#nameServers[index], 0)),
      ...plannedBrokers.map((config, index) => this.#facts(config, this.#brokers[index], 0)),
    ])

    const nameServers = await this.#startAll(plannedNames, this.#nameServers)
    const addresses = nameServers.map(({ port }) => localAddress(this.#plan.bind, port))
    const brokers = await this.#startAll(brokerConfigs(this.#plan, addresses), this.#brokers)
    await ensureTopics(this.#world, addresses, this.#plan.topics)
    this.#note([...nameServers, ...brokers], true)
  }

  async #startAll(
    configs: readonly RoleConfig[],
    roles: readonly RoleProcess[],
  ): Promise<RoleFacts[]> {
    return Promise.all(
      configs.map(async (config, index) => {
        const role = roles[index]
        const port = role === undefined ? 0 : await role.start(config)
        return this.#facts(config, role, port)
      }),
    )
  }

  #facts(config: RoleConfig, role: RoleProcess | undefined, port: number): RoleFacts {
    const host = this.#plan.advertise.includes(':')
      ? `[${this.#plan.advertise}]`
      : this.#plan.advertise
    const actual = port === 0 ? config.port : port
    return {
      name: config.name,
      role: config.role,
      address: `${host}:${actual}`,
      port: actual,
      process: role?.identity ?? { pid: 0, startedAt: null },
    }
  }

  #note(roles: readonly RoleFacts[], ready = false): void {
    this.#run = { ...this.#run, roles, ready }
    writeRunFile(this.#stateDir, this.#run)
  }
}

/** The supervisor is gone (its lock is free), yet a role may still be stopping. */
function refuseLeftovers(run: RunFile): void {
  const alive = run.roles.find((role) => isAlive(role.process))
  if (alive === undefined) return
  throw new MqError('ALREADY_RUNNING', {
    name: `${run.name} (${alive.name})`,
    pid: alive.process.pid,
  })
}

/** What brokers would refuse is refused before anything runs. Their options are loaded for that only. */
async function checkSettings(settings: readonly string[]): Promise<void> {
  if (settings.length === 0) return
  const { splitSettings } = await import('./roles/broker-settings.ts')
  splitSettings(settings)
}

function fixedPorts(plan: InstancePlan): { port: number; flag: string }[] {
  if (plan.anyPort) return []
  const nameServers = Array.from({ length: plan.nameServers }, (_, index) => ({
    port: nameServerPort(plan.nameServerPort, index),
    flag: '--namesrv-port',
  }))
  const brokers = Array.from({ length: plan.brokers }, (_, index) => ({
    port: brokerPort(plan.port, index),
    flag: '--port',
  }))
  return [...nameServers, ...brokers]
}

function once(run: () => Promise<void>): () => Promise<void> {
  let result: Promise<void> | null = null
  return () => (result ??= run())
}
