/** Main of a broker process. */
import { startBroker } from '../../broker/broker.ts'
import type { BrokerConfig } from '../topology.ts'
import { splitSettings } from './broker-settings.ts'
import { startNodeProbe } from './node-probe.ts'
import { openFilesMax } from './open-files.ts'
import { runRole } from './role.ts'

runRole<BrokerConfig>('broker', async (world, config, logger) => {
  const { broker, store } = splitSettings(config.settings)
  return startBroker(
    world,
    {
      clusterName: config.clusterName,
      ...broker,
      host: config.host,
      port: config.port,
      advertise: config.advertise,
      namesrv: config.nameServers.join(';'),
      brokerName: config.name,
      store: { openFilesMax: openFilesMax(), ...store, dir: config.dataDir, flush: config.flush },
    },
    logger,
    startNodeProbe(),
  )
})
