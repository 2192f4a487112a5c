/**
 * What every role process does around its work: waits for its configuration, logs NDJSON to stdout
 * (which the supervisor has pointed at a file), says when it is ready, and stops cleanly on SIGTERM
 * and when the supervisor is gone.
 */
import { pino } from 'pino'
import type { LogFields, Logger } from '../../base/logger.ts'
import { ExitCode } from '../../base/exit-codes.ts'
import { messageOf } from '../../base/errors.ts'
import { nodeWorld } from '../../world/node-world.ts'
import type { World } from '../../world/world.ts'
import { toWire, type RoleAnswer, type StartRole } from '../role-channel.ts'
import type { RoleConfig } from '../topology.ts'

export interface Running {
  readonly port: number
  close(): Promise<void>
}

/** Without a supervisor nobody sends SIGKILL; then this is how long a clean stop may take. */
const ORPHAN_STOP_MS = 15_000

/** Runs the role until it is told to stop; the only thing that a role's main calls. */
export function runRole<Config extends RoleConfig>(
  kind: Config['role'],
  start: (world: World, config: Config, logger: Logger) => Promise<Running>,
): void {
  const name = process.argv[2] ?? kind
  process.title = `mqctl ${name}`
  const logger = createLogger(name)
  let running: Running | null = null
  let stopping = false

  const stop = (why: string) => {
    if (stopping) return
    stopping = true
    logger.info('stopping', { why })
    nodeWorld.clock.after(ORPHAN_STOP_MS, () => {
      logger.error('did not stop in time', { timeoutMs: ORPHAN_STOP_MS })
      process.exit(ExitCode.failed)
    })
    void (running?.close() ?? Promise.resolve()).then(
      () => {
        logger.info('stopped')
        process.exit(ExitCode.ok)
      },
      (error: unknown) => {
        logger.error('stopping failed', { error: messageOf(error) })
        process.exit(ExitCode.failed)
      },
    )
  }

  process.on('SIGTERM', () => {
    stop('SIGTERM')
  })
  process.on('disconnect', () => {
    stop('supervisor gone')
  })
  // Ctrl-C belongs to the supervisor, who stops the roles in order.
  process.on('SIGINT', () => undefined)
  process.on('SIGHUP', () => undefined)
  process.on('uncaughtException', (error) => {
    logger.error('bug', { error: error.stack ?? error.message })
    process.exit(ExitCode.bug)
  })
  if (process.send === undefined) {
    logger.error('a role runs only under mqctl start')
    process.exit(ExitCode.usage)
  }

  const answer = (message: RoleAnswer) => process.send?.(message, () => undefined)
  process.once('message', (message) => {
    const { config } = message as StartRole
    start(nodeWorld, config as Config, logger).then(
      (started) => {
        running = started
        logger.info('ready', { port: started.port })
        answer({ kind: 'ready', port: started.port })
      },
      (error: unknown) => {
        logger.error('start failed', { error: messageOf(error) })
        const exit = () => process.exit(ExitCode.failed)
        process.send?.({ kind: 'failed', error: toWire(error) } satisfies RoleAnswer, exit)
      },
    )
  })
}

/** One JSON object a line: time, level, role, room, msg and the fields. */
function createLogger(role: string): Logger {
  const destination = pino.destination({ fd: 1, sync: true })
  // A full disk must not end a broker because of its log.
  destination.on('error', () => undefined)
  const root = pino(
    {
      base: { role },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
  return loggerOn(root, undefined)
}

interface Sink {
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

function loggerOn(sink: Sink, room: string | undefined): Logger {
  const withRoom = (fields?: LogFields) =>
    room === undefined ? { ...fields } : { room, ...fields }
  return {
    info: (text, fields) => {
      sink.info(withRoom(fields), text)
    },
    warn: (text, fields) => {
      sink.warn(withRoom(fields), text)
    },
    error: (text, fields) => {
      sink.error(withRoom(fields), text)
    },
    scope: (inner) => loggerOn(sink, inner),
  }
}
