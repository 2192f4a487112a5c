/**
 * GET_BROKER_CONFIG, UPDATE_BROKER_CONFIG, GET_BROKER_RUNTIME_INFO, VIEW_BROKER_STATS_DATA.
 *
 * What may be changed from outside is an allow-list: the rows marked mutable in `options.ts`. No
 * path, address, command or credential is among them, and nothing that is sent is written to a file:
 * a change lasts as long as the process. Source of the danger: CVE-2023-33246.
 */
import { MqError } from '../../base/errors.ts'
import { type OptionRow, findOption, parseOption } from '../../base/options.ts'
import { encodeBrokerStatsData } from '../../protocol/bodies/broker-stats-data.ts'
import { dataVersionToJson, initialDataVersion } from '../../protocol/bodies/data-version.ts'
import { encodeKvTable } from '../../protocol/bodies/kv-table.ts'
import { formatPropertiesText, parsePropertiesText } from '../../protocol/bodies/properties-text.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import { writeJson } from '../../protocol/lenient-json.ts'
import { storeOptions } from '../../store/options.ts'
import type { BrokerContext, RequestHandler } from '../context.ts'
import {
  type BrokerOptionValues,
  type BrokerSettings,
  brokerOptions,
  changeSettings,
} from '../options.ts'
import { Refusal } from '../refusal.ts'
import { runtimeInfo } from '../runtime-info.ts'
import { boundedBody, textField } from './fields.ts'

const KEYS_MAX = 100

/** The settings under RocketMQ's names, or under `mqctl.` when RocketMQ has none. */
function configText(settings: BrokerSettings): string {
  const lines = new Map<string, string>([
    ['brokerRole', 'ASYNC_MASTER'],
    ['storePathRootDir', settings.store.dir],
  ])
  const add = (name: string, row: OptionRow<unknown>, value: unknown) => {
    lines.set(row.rocketmq ?? `mqctl.${name}`, plainValue(row, value))
  }
  for (const [name, row] of Object.entries(brokerOptions)) {
    add(name, row, settings[name as keyof BrokerOptionValues])
  }
  for (const [name, row] of Object.entries(storeOptions)) {
    add(name, row, settings.store[name as keyof typeof storeOptions])
  }
  return formatPropertiesText(lines)
}

/** RocketMQ gives plain numbers, and has names of its own for the two ways of flushing. */
function plainValue(row: OptionRow<unknown>, value: unknown): string {
  if (row.rocketmq === 'flushDiskType') return value === 'sync' ? 'SYNC_FLUSH' : 'ASYNC_FLUSH'
  return String(value)
}

export const brokerConfig: RequestHandler = (context, _connection, command) => {
  const version = writeJson(dataVersionToJson(initialDataVersion))
  const body = Buffer.from(configText(context.settings))
  return respond(command, ResponseCode.SUCCESS, null, { version }, body)
}

/** All of the changes, or none when one is refused. */
export const updateBrokerConfig: RequestHandler = (context, _connection, command) => {
  const wanted = parsePropertiesText(boundedBody(command))
  if (wanted.size === 0 || wanted.size > KEYS_MAX) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `the body must have 1 to ${KEYS_MAX} lines of key=value`,
    )
  }
  const changes: Record<string, unknown> = {}
  for (const [key, value] of wanted) {
    const name = allowedName(key)
    changes[name] = checkedValue(name, key, value)
  }
  const before = context.settings.brokerPermission
  changeSettings(context.settings, changes)
  for (const [name, value] of Object.entries(changes)) {
    context.logger.info('setting changed from outside', { name, value: String(value) })
  }
  if (context.settings.brokerPermission !== before) announcePermission(context)
  return respond(command, ResponseCode.SUCCESS)
}

function announcePermission(context: BrokerContext): void {
  context.topics.touch()
  context.registration.registerAll()
}

/** Our name of a key that may be set from outside. Refused with 16 otherwise. */
function allowedName(key: string): keyof typeof brokerOptions {
  const shown = JSON.stringify(key.slice(0, 100))
  const own = key.startsWith('mqctl.') ? key.slice('mqctl.'.length) : key
  try {
    const name = findOption(brokerOptions, own) as keyof typeof brokerOptions
    if (brokerOptions[name].mutable === true) return name
  } catch (error) {
    if (!(error instanceof MqError)) throw error
  }
  throw new Refusal(
    ResponseCode.NO_PERMISSION,
    `the key ${shown} cannot be set from outside: only ${mutableNames().join(', ')} can`,
  )
}

function mutableNames(): string[] {
  return Object.entries(brokerOptions)
    .filter(([, row]) => (row as OptionRow<unknown>).mutable === true)
    .map(([name, row]) => (row as OptionRow<unknown>).rocketmq ?? `mqctl.${name}`)
}

function checkedValue(name: keyof typeof brokerOptions, key: string, value: string): unknown {
  try {
    return parseOption(brokerOptions, name, value, key)
  } catch (error) {
    if (!(error instanceof MqError)) throw error
    throw new Refusal(ResponseCode.INVALID_PARAMETER, `${error.message}; ${error.hint}`)
  }
}

export const brokerRuntimeInfo: RequestHandler = async (context, _connection, command) => {
  const body = encodeKvTable(await runtimeInfo(context))
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

export const statsData: RequestHandler = (context, _connection, command) => {
  const name = textField(command, 'statsName')
  const key = textField(command, 'statsKey')
  const windows = context.stats.windows(name, key)
  if (windows === null) {
    return respond(
      command,
      ResponseCode.SYSTEM_ERROR,
      `The stats <${name.slice(0, 100)}> <${key.slice(0, 300)}> not exist`,
    )
  }
  const [statsMinute, statsHour, statsDay] = windows
  const body = encodeBrokerStatsData({ statsMinute, statsHour, statsDay })
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}
