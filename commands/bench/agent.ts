import { Flags } from '@oclif/core'
import { MqError } from '../../src/base/errors.ts'
import { plainLine } from '../../src/base/plain-line.ts'
import type { Logger } from '../../src/base/logger.ts'
import { readIdentity } from '../../src/bench/agent/pem.ts'
import { AgentServer } from '../../src/bench/agent/server.ts'
import { readToken } from '../../src/bench/agent/token.ts'
import { MqctlCommand } from '../../src/cli/command.ts'
import { targetFlag } from '../../src/cli/flags.ts'

/** What an agent did until it was stopped. */
interface AgentResult {
  readonly address: string
  readonly tls: boolean
  readonly allow: readonly string[]
  /** Runs that it served. */
  readonly sessions: number
}

export default class BenchAgent extends MqctlCommand<AgentResult> {
  static override summary = 'Lend this host to a bench that runs elsewhere.'
  static override description = `A bench with --agent puts its producers and consumers here, or has only this host sampled (--watch-agent). The agent takes
numbers and names of what to send, and no command or path; load goes to the targets of --allow alone, and it serves one
run at a time. When the bench goes away, everything that was started for it ends. Off the loopback it speaks TLS alone.
Who has the token may use the agent; the token itself never travels. It runs until it is stopped.`
  static override flags = {
    listen: Flags.custom<{ host: string; port: number }>({
      summary: 'Where benches find it; port 0 lets the system choose.',
      helpValue: 'host:port',
      default: async () => ({ host: '127.0.0.1', port: 9890 }),
      defaultHelp: async () => '127.0.0.1:9890',
      parse: async (input) => parseListen(input),
    })(),
    'token-file': Flags.string({
      summary: 'File with the token that benches must have as well; not for every user to read.',
      helpValue: '<file>',
      required: true,
    }),
    allow: targetFlag({
      summary:
        'Where load may go: host:port, or a host with all its ports; name servers and brokers both. Without it this host is only sampled.',
      multiple: true,
      multipleNonGreedy: true,
    }),
    'tls-cert': Flags.string({
      summary: 'Certificate for TLS, PEM, with the name or address that benches use.',
      helpValue: '<file>',
      dependsOn: ['tls-key'],
    }),
    'tls-key': Flags.string({
      summary: 'Its private key, PEM.',
      helpValue: '<file>',
      dependsOn: ['tls-cert'],
    }),
    'data-dir': Flags.directory({
      summary: 'The disk under this directory is sampled, such as that of a broker’s messages.',
    }),
  }
  static override examples = [
    '<%= config.bin %> bench agent --token-file ./token --allow 127.0.0.1',
    '<%= config.bin %> bench agent --listen 10.0.0.7:9890 --token-file ./token --tls-cert agent.pem --tls-key agent.key --allow 10.0.0.5',
    '<%= config.bin %> bench agent --listen 10.0.0.5:9890 --token-file ./token --tls-cert agent.pem --tls-key agent.key --data-dir /var/lib/broker',
  ]

  async run(): Promise<AgentResult> {
    const { flags } = await this.parse(BenchAgent)
    const { listen, allow = [] } = flags
    const token = readToken(flags['token-file'])
    const { 'tls-cert': certificate = null, 'tls-key': key = null } = flags
    const identity = await readIdentity(this.world.disk, certificate, key)
    const interrupted = this.claimInterrupts()
    const agent = await AgentServer.start(this.world, await this.secureNet(), listen, identity, {
      token,
      allow,
      diskPath: flags['data-dir'] ?? null,
      toolVersion: this.config.version,
      logger: this.#remarks(),
    })
    const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host
    const address = `${host}:${agent.port}`
    const targets = allow.length === 0 ? 'no load, only samples' : `load to ${allow.join(', ')}`
    this.remark(`listening on ${address}${identity === null ? '' : ' with TLS'}; ${targets}`)
    if (!interrupted.aborted) {
      await new Promise((resolve) => {
        interrupted.addEventListener('abort', resolve, { once: true })
      })
    }
    await agent.close()
    const result = { address, tls: identity !== null, allow, sessions: agent.served }
    return this.show(result, { text: ({ sessions }) => `served ${sessions} runs` })
  }

  /** A line for each run and for each stranger. */
  #remarks(): Logger {
    const line = (text: string, fields: Readonly<Record<string, unknown>> = {}) => {
      const pairs = Object.entries(fields).map(
        ([key, value]) => `${key}=${plainLine(String(value))}`,
      )
      this.remark([new Date(this.world.clock.wallMs()).toISOString(), text, ...pairs].join(' '))
    }
    const logger: Logger = { info: line, warn: line, error: line, scope: () => logger }
    return logger
  }
}

function parseListen(input: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:]+)):(\d{1,5})$/.exec(input)
  const port = Number(match?.[3])
  if (match !== null && port <= 65_535) return { host: match[1] ?? match[2] ?? '', port }
  throw new MqError('VALUE_INVALID', {
    what: `${JSON.stringify(input)} is not an address to listen on`,
    hint: 'write host:port, as in 127.0.0.1:9890',
  })
}
