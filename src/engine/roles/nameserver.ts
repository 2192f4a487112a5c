/** Main of a name server process. */
import path from 'node:path'
import { resolveOptions } from '../../base/options.ts'
import { startNameServer } from '../../nameserver/nameserver.ts'
import { nameServerOptions } from '../../nameserver/options.ts'
import type { NameServerConfig } from '../topology.ts'
import { runRole } from './role.ts'

runRole<NameServerConfig>('nameserver', async (world, config, logger) => {
  await world.disk.makeDirectory(config.dataDir)
  const options = resolveOptions(nameServerOptions, {
    host: config.host,
    port: config.port,
    kvConfigPath: path.join(config.dataDir, 'kvConfig.json'),
  })
  return startNameServer(world, options, logger)
})
