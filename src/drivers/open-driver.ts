/** Drivers by name. The heavy ones will be loaded on use. */
import type { World } from '../world/world.ts'
import type { Driver } from './driver.ts'
import { NullDriver } from './null.ts'
import { RocketmqDriver } from './rocketmq.ts'

/** The drivers that exist. `embedded` is RocketMQ's protocol to a broker that the caller starts. */
export const driverNames = ['embedded', 'rocketmq', 'null'] as const
export type DriverName = (typeof driverNames)[number]

/** @param endpoints name servers as HOST:PORT; the target itself for `null` */
export function openDriver(world: World, name: DriverName, endpoints: readonly string[]): Driver {
  return name === 'null'
    ? new NullDriver(world, endpoints[0] ?? '')
    : new RocketmqDriver(world, endpoints)
}
