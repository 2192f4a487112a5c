/** What `--set` says of a broker, checked: by the broker, and before anything is started. */
import { MqError } from '../../base/errors.ts'
import { findOption, parseSettings, type OptionTable } from '../../base/options.ts'
import { brokerOptions } from '../../broker/options.ts'
import { storeOptions } from '../../store/options.ts'

/** Options that have a flag of their own; run.json must agree with what the broker does. */
const flagOf: Readonly<Record<string, string>> = {
  host: '--bind',
  port: '--port',
  advertise: '--advertise',
  namesrv: '--namesrvs',
  brokerName: '--brokers',
  flush: '--flush',
}

/** Each setting goes to the table that knows its key, or to both; throws CONFIG_INVALID. */
export function splitSettings(settings: readonly string[]) {
  const known = (table: OptionTable, setting: string) => {
    const key = setting.split('=', 1)[0]?.trim() ?? ''
    return Object.entries(table).some(([name, row]) => name === key || row.rocketmq === key)
  }
  const forStore = settings.filter((setting) => known(storeOptions, setting))
  const forBroker = settings.filter(
    (setting) => known(brokerOptions, setting) || !forStore.includes(setting),
  )
  for (const setting of settings) {
    const key = setting.split('=', 1)[0]?.trim() ?? ''
    const name = findOption({ ...storeOptions, ...brokerOptions }, key, '--set')
    const flag = flagOf[name]
    if (flag !== undefined) {
      throw new MqError('CONFIG_INVALID', {
        where: '--set',
        what: `${key} has a flag of its own`,
        hint: `use ${flag}`,
      })
    }
  }
  return {
    broker: parseSettings(brokerOptions, forBroker),
    store: parseSettings(storeOptions, forStore),
  }
}
