/** What somebody asked for on the command line, checked, and answered from this host or a file. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { MqError, messageOf } from '../../base/errors.ts'
import type { Clock } from '../../world/clock.ts'
import type { Profile } from './check.ts'
import { collectFacts, type CollectOptions } from './collect.ts'
import type { HostFacts } from './facts.ts'
import { parseFacts } from './facts-file.ts'
import { NodeHostFiles } from './host-files.ts'
import { selected } from './registry.ts'
import { judge, type FailOn, type JudgeOptions, type Report } from './report.ts'
import { unitName } from './unit-facts.ts'
import { parseWaivers } from './waivers.ts'

export interface TuningRequest {
  /** Version of mqctl. */
  readonly version: string
  readonly profile: Profile
  /** Ids or families (`vm`, `net.*`). */
  readonly only?: readonly string[]
  readonly skip?: readonly string[]
  readonly pid?: number
  readonly unit?: string
  readonly port?: number
  readonly dataDir?: string
  /** Where mqctl itself keeps messages: judged when no other directory is named. */
  readonly dataDirFallback?: string
  readonly brokerConf?: string
  /** Configuration as a broker told it, and the broker's address. */
  readonly brokerTold?: { readonly text: string; readonly source: string }
  readonly jvmFlags?: string
  readonly jdk?: string
  readonly connections?: number
  readonly expectGbps?: number
  readonly rttMs?: number
  readonly windowMs?: number
  readonly probe?: boolean
  readonly failOn?: FailOn
  readonly strict?: boolean
  /** Path of a waiver file. */
  readonly waivers?: string
  /** Path of a facts file; `-` is stdin. */
  readonly facts?: string
  /** A captured or mounted tree to look at instead of this machine. */
  readonly sysroot?: string
}

/** Everything that can be wrong with a request is said before anything is read. */
export async function answer(
  clock: Clock,
  request: TuningRequest,
): Promise<{ facts: HostFacts; report: Report; options: JudgeOptions }> {
  const startedMs = clock.wallMs()
  const { only, skip, waivers, failOn, strict, profile, version } = request
  const chosen = {
    ...(only === undefined ? {} : { only: selected(only, '--only') }),
    ...(skip === undefined ? {} : { skip: selected(skip, '--skip') }),
    ...(waivers === undefined
      ? {}
      : { waivers: { file: waivers, list: await parseWaivers(fileOf(waivers), waivers) } }),
  }
  const facts = await gather(clock, request)
  const options: JudgeOptions = {
    profile,
    version,
    startedMs,
    nowMs: clock.wallMs(),
    ...chosen,
    ...(failOn === undefined ? {} : { failOn }),
    ...(strict === undefined ? {} : { strict }),
  }
  return { facts, report: judge(facts, options), options }
}

/** Facts from a file or from this host. */
export async function gather(clock: Clock, request: TuningRequest): Promise<HostFacts> {
  if (request.facts !== undefined) return await parseFacts(fileOf(request.facts), request.facts)
  const files = new NodeHostFiles(request.sysroot)
  const facts = await collectFacts(files, clock, collectOptionsOf(request))
  if (facts.unit !== null && !facts.unit.found && facts.target.pid === null) {
    throw new MqError('TARGET_GONE', { what: `unit ${facts.unit.name}` })
  }
  return facts
}

function collectOptionsOf(request: TuningRequest): CollectOptions {
  const { pid, port, unit, dataDir, dataDirFallback, brokerConf, brokerTold } = request
  const { jvmFlags, jdk, windowMs, probe, connections, expectGbps, rttMs } = request
  const name = unit === undefined ? undefined : unitName(unit)
  if (dataDir === '') {
    throw new MqError('VALUE_INVALID', {
      what: '--data-dir is empty',
      hint: 'name the directory of messages, or leave the flag out',
    })
  }
  if (windowMs !== undefined && windowMs < 100) {
    throw new MqError('VALUE_INVALID', {
      what: `--window of ${windowMs} ms is too short to judge anything`,
      hint: 'give it a second or more, as in 5s',
    })
  }
  if (name === null) {
    throw new MqError('VALUE_INVALID', {
      what: `${JSON.stringify(unit)} is not the name of a systemd unit`,
      hint: 'write it as in rocketmq-broker.service',
    })
  }
  return {
    tool: `mqctl ${request.version}`,
    ...(pid === undefined ? {} : { pid }),
    ...(port === undefined ? {} : { port }),
    ...(name === undefined ? {} : { unit: name }),
    ...(dataDir === undefined ? {} : { dataDir: path.resolve(dataDir) }),
    ...(dataDirFallback === undefined ? {} : { dataDirFallback }),
    ...(brokerConf === undefined ? {} : { brokerConf: { path: path.resolve(brokerConf) } }),
    ...(brokerTold === undefined ? {} : { brokerConf: brokerTold }),
    ...(jvmFlags === undefined ? {} : { jvmFlags: { text: jvmFlags, jdk: jdk ?? null } }),
    ...(windowMs === undefined ? {} : { windowMs }),
    ...(probe === undefined ? {} : { probe }),
    ...(connections === undefined ? {} : { connections }),
    ...(expectGbps === undefined ? {} : { expectGbps }),
    ...(rttMs === undefined ? {} : { rttMs }),
  }
}

function fileOf(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    throw new MqError(
      'CONFIG_INVALID',
      { where: file, what: `cannot be read: ${messageOf(error)}`, hint: 'check the path' },
      { cause: error },
    )
  }
}
