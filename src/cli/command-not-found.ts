/** oclif's hook for a command that is not there: says the nearest one, exit code 2. */
import type { Hook } from '@oclif/core'
import { MqError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'

/** `there is no command "topc list"; did you mean topic list?` */
export function suggestCommand(
  asked: string,
  commandIds: readonly string[],
  others: readonly string[] = [],
): string {
  const words = asked.replaceAll(':', ' ')
  const names = commandIds.map((id) => id.replaceAll(':', ' '))
  const topics = names.map((name) => name.split(' ')[0] ?? name)
  const close = nearest(words, [...names, ...topics, ...others])
  const text = `there is no command ${JSON.stringify(words)}`
  return close === null ? text : `${text}; did you mean ${close}?`
}

const commandNotFound: Hook.CommandNotFound = async function (options) {
  const visible = options.config.commands.filter((command) => command.hidden !== true)
  throw new MqError('COMMAND_UNKNOWN', {
    what: suggestCommand(
      options.id,
      visible.map((command) => command.id),
    ),
  })
}

export default commandNotFound
