import { expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import { delayOnBrokers } from '../../src/cli/delay.ts'
import type { Admin } from '../../src/client/admin.ts'

/** `own` has another second level than every RocketMQ; `usual` does not say. */
function adminOf(route: () => Promise<unknown>): Admin {
  const config = (address: string) =>
    Promise.resolve(new Map(address === 'own' ? [['messageDelayLevel', '1s 10s 1m']] : []))
  return { client: { routes: { get: route } }, brokers: { config } } as unknown as Admin
}

const routeOver = (...addresses: string[]) => ({
  brokers: new Map(addresses.map((at) => [at, { brokerAddrs: new Map([[0, at]]) }])),
})

it('takes the levels of the brokers that have the topic', async () => {
  const admin = adminOf(() => Promise.resolve(routeOver('own')))
  expect(await delayOnBrokers(admin, 'T', { delayLevel: 3 }, 10_000)).toEqual({ delayLevel: 2 })
})

it('takes the usual levels when no name server says who has the topic', async () => {
  const admin = adminOf(() => Promise.reject(new MqError('NAMESRV_UNREACHABLE', { why: 'down' })))
  expect(await delayOnBrokers(admin, 'T', { delayLevel: 3 }, 10_000)).toEqual({ delayLevel: 3 })
})
