/** Flags that parse themselves: text becomes a checked value once, for every command. */
import { Args, Flags } from '@oclif/core'
import { MqError } from '../base/errors.ts'
import {
  parseDurationMs,
  parseLinkBits,
  parseRateHz,
  parseSizeBytes,
  parseWhole,
} from '../base/units.ts'
import { outputFormats } from './output.ts'

/** Milliseconds, from `5s`. */
export const durationFlag = Flags.custom<number>({
  helpValue: '<duration>',
  parse: async (input) => parseDurationMs(input),
})

/** Bytes, from `64KiB`. */
export const sizeFlag = Flags.custom<number>({
  helpValue: '<size>',
  parse: async (input) => parseSizeBytes(input),
})

/** Events a second, from `5000/s`. */
export const rateFlag = Flags.custom<number>({
  helpValue: '<rate>',
  parse: async (input) => parseRateHz(input),
})

/** A whole number in a range. */
export const wholeFlag = Flags.custom<number, { min?: number; max?: number }>({
  helpValue: '<number>',
  parse: async (input, _, { min = 0, max = Number.MAX_SAFE_INTEGER }) => {
    const value = parseWhole(input)
    if (value >= min && value <= max) return value
    const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`
    throw new MqError('VALUE_INVALID', {
      what: `${value} is out of range`,
      hint: `it takes ${range}`,
    })
  },
})

/** A share above 0 and below 1, from `5%` or `0.05`. */
export const shareFlag = Flags.custom<number>({
  helpValue: '<share>',
  parse: async (input) => {
    const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(input.trim())
    const value = Number(match?.[1]) / (match?.[2] === '%' ? 100 : 1)
    if (value > 0 && value < 1) return value
    throw new MqError('VALUE_INVALID', {
      what: `${JSON.stringify(input)} is not a share above 0`,
      hint: 'write 5% or 0.05',
    })
  },
})

/** A TCP port. */
export const portFlag = Flags.custom<number>({
  helpValue: '<port>',
  parse: async (input) => {
    const port = /^\d+$/.test(input) ? Number(input) : Number.NaN
    if (port >= 0 && port <= 65_535) return port
    throw new MqError('VALUE_INVALID', {
      what: `${JSON.stringify(input)} is not a port`,
      hint: 'write 1 to 65535, or 0 to let the system choose',
    })
  },
})

export interface LabFlag {
  readonly linkBitsPerSecond: number
  /** Followers that further consumer groups stand in for. */
  readonly followers: number
}

/** A laboratory, from `link=1gbit` or `link=1gbit,followers=2`. */
export const labFlag = Flags.custom<LabFlag>({
  helpValue: 'link=<speed>[,followers=<number>]',
  parse: async (input) => {
    const pairs = new Map(
      input.split(',').map((pair) => {
        const [key = '', value = ''] = pair.split('=')
        return [key.trim(), value.trim()]
      }),
    )
    const link = pairs.get('link')
    const unknown = [...pairs.keys()].find((key) => key !== 'link' && key !== 'followers')
    if (link === undefined || unknown !== undefined) {
      throw new MqError('VALUE_INVALID', {
        what:
          unknown === undefined
            ? `${JSON.stringify(input)} names no link`
            : `${JSON.stringify(unknown)} is not a key of a laboratory`,
        hint: 'write link=1gbit, or link=100mbit,followers=2',
      })
    }
    const followers = parseWhole(pairs.get('followers') ?? '2')
    if (followers >= 0 && followers <= 16) {
      return { linkBitsPerSecond: parseLinkBits(link), followers }
    }
    throw new MqError('VALUE_INVALID', {
      what: `${followers} followers are out of range`,
      hint: 'it takes 0 to 16',
    })
  },
})

/** `key=value`, repeatable. */
export const pairFlag = Flags.custom<readonly [key: string, value: string]>({
  helpValue: 'key=value',
  parse: async (input) => {
    const equals = input.indexOf('=')
    if (equals > 0) return [input.slice(0, equals), input.slice(equals + 1)]
    throw new MqError('VALUE_INVALID', {
      what: `${JSON.stringify(input)} is not key=value`,
      hint: 'write it as name=value',
    })
  },
})

/** `host:port`, one or several separated by `;` or `,`. */
export const addressesFlag = Flags.custom<readonly string[]>({
  helpValue: 'host:port[;host:port]',
  parse: async (input) => parseAddresses(input),
})

export function parseAddresses(input: string): readonly string[] {
  const addresses = input
    .split(/[;,]/)
    .map((address) => address.trim())
    .filter((address) => address !== '')
  const wrong = addresses.find((address) => {
    const port = /^(?:\[[0-9a-fA-F:.%]+\]|[^\s:/]+):(\d{1,5})$/.exec(address)?.[1]
    return port === undefined || Number(port) < 1 || Number(port) > 65_535
  })
  if (addresses.length > 0 && wrong === undefined) return addresses
  throw new MqError('VALUE_INVALID', {
    what: `${JSON.stringify(wrong ?? input)} is not an address`,
    hint: 'write host:port, as in 127.0.0.1:9876',
  })
}

/** `host:port`, or `host` for every port of it. */
export const targetFlag = Flags.custom<string>({
  helpValue: 'host[:port]',
  parse: async (input) => {
    const match = /^(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::(\d{1,5}))?$/.exec(input)
    const port = Number(match?.[1] ?? 1)
    if (match !== null && port >= 1 && port <= 65_535) return input
    throw new MqError('VALUE_INVALID', {
      what: `${JSON.stringify(input)} is not a host or an address`,
      hint: 'write 10.0.0.5:9876, or 10.0.0.5 for all its ports',
    })
  },
})

/**
 * A positional argument. oclif would fill a missing one from stdin, which belongs to message
 * bodies here.
 */
export const argument = Args.custom<string>({
  ignoreStdin: true,
  parse: async (input) => input,
})

/** On every command. */
export const globalFlags = {
  json: Flags.boolean({
    summary: 'One JSON document on stdout, also for errors (same as --output json).',
    helpGroup: 'GLOBAL',
  }),
  output: Flags.option({
    char: 'o',
    summary: 'Format of the result.',
    helpGroup: 'GLOBAL',
    options: outputFormats,
  })(),
  quiet: Flags.boolean({
    char: 'q',
    summary: 'Results and errors only, no remarks.',
    helpGroup: 'GLOBAL',
    exclusive: ['verbose'],
  }),
  verbose: Flags.boolean({
    char: 'v',
    summary: 'Say more on stderr, such as where a setting came from.',
    helpGroup: 'GLOBAL',
  }),
  'no-color': Flags.boolean({
    summary: 'No colours; NO_COLOR in the environment does the same.',
    helpGroup: 'GLOBAL',
  }),
} as const

/** On every command that talks to a broker. */
export const connectionFlags = {
  namesrv: addressesFlag({
    char: 'n',
    summary: 'Name servers; default: MQCTL_NAMESRV, NAMESRV_ADDR, what runs here, 127.0.0.1:9876.',
    helpGroup: 'CONNECTION',
  }),
  timeout: durationFlag({
    summary: 'How long to wait for one answer.',
    helpGroup: 'CONNECTION',
    default: 5_000,
    defaultHelp: async () => '5s',
  }),
} as const

/** Agents on other hosts that a bench uses. */
export const agentFlags = {
  agent: addressesFlag({
    summary: 'Put producers and consumers on the hosts of these agents (see bench agent).',
    helpGroup: 'AGENTS',
  }),
  'watch-agent': addressesFlag({
    summary: 'Have the hosts of these agents sampled, without load: those of the brokers.',
    helpGroup: 'AGENTS',
  }),
  'token-file': Flags.string({
    summary: 'File with the token of the agents.',
    helpValue: '<file>',
    helpGroup: 'AGENTS',
  }),
  'agent-ca': Flags.string({
    summary: 'Certificate that theirs must be from, PEM; without it those that Node trusts.',
    helpValue: '<file>',
    helpGroup: 'AGENTS',
  }),
} as const

/** What a message that is sent carries beside its body. */
export const messageFlags = {
  key: Flags.string({
    summary: 'A key that the message can be found by; repeatable.',
    multiple: true,
    multipleNonGreedy: true,
  }),
  tag: Flags.string({ summary: 'The tag that consumers filter by.' }),
  header: pairFlag({
    char: 'H',
    summary: 'A property; repeatable.',
    multiple: true,
    multipleNonGreedy: true,
  }),
}
