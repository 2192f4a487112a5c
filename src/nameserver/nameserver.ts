/**
 * The name server: brokers register their topics here, clients ask here who serves a topic. It
 * keeps everything in memory and forgets it when it ends; brokers register again every 30 s. Name
 * servers do not know each other: a broker registers with each of them.
 */
import type { Logger } from '../base/logger.ts'
import type { Connection } from '../remoting/connection.ts'
import { RemotingServer } from '../remoting/server.ts'
import type { World } from '../world/world.ts'
import { KvConfig } from './kv-config.ts'
import type { NameServerOptions } from './options.ts'
import { type NameServerState, answer } from './requests.ts'
import { RouteTables } from './route-tables.ts'

export interface RunningNameServer {
  /** The port that was bound. */
  readonly port: number
  close(): Promise<void>
}

/** Milliseconds from the start to the first look for silent brokers. */
const FIRST_SCAN_MS = 5_000

/** Starts listening. Rejects with MqError PORT_TAKEN, or when the configuration file cannot be read. */
export async function startNameServer(
  world: World,
  options: NameServerOptions,
  logger: Logger,
): Promise<RunningNameServer> {
  const tables = new RouteTables<Connection>(options)
  const kv =
    options.kvConfigPath === ''
      ? KvConfig.inMemory(options.kvEntriesMax)
      : await KvConfig.fromFile(world.disk, options.kvConfigPath, options.kvEntriesMax, logger)
  const state: NameServerState = { clock: world.clock, logger, tables, kv, options }
  const server = await RemotingServer.listen(
    world,
    options,
    {
      onCommand(connection, command) {
        const response = answer(state, command, connection)
        if (!command.isOneway) connection.reply(response)
      },
      onClose(connection, reason) {
        for (const broker of tables.removeOwner(connection)) {
          logger.warn('broker removed: its connection closed', {
            broker: broker.brokerName,
            id: broker.brokerId,
            address: broker.brokerAddr,
            reason,
          })
        }
      },
    },
    logger,
  )
  const scan = () => {
    for (const { identity, owner, silentMs } of tables.removeExpired(world.clock.monotonicMs())) {
      logger.warn('broker removed: silent for too long', {
        broker: identity.brokerName,
        id: identity.brokerId,
        address: identity.brokerAddr,
        silentMs: Math.round(silentMs),
      })
      owner.close('silent for too long')
    }
  }
  let stopScan = world.clock.after(FIRST_SCAN_MS, () => {
    scan()
    stopScan = world.clock.every(options.scanPeriodMs, scan)
  })
  logger.info('name server listens', { host: options.host, port: server.port })
  return {
    port: server.port,
    async close() {
      stopScan()
      await server.close()
      await kv.close()
    },
  }
}
