import { expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import { brokerWithoutTimers, delayLevelsFor, delayOnBrokers } from '../../src/cli/delay.ts'
import { TimerSender } from '../../src/cli/timer-sender.ts'
import type { Admin } from '../../src/client/admin.ts'
import type { OutgoingMessage } from '../../src/client/outgoing-message.ts'
import type { Producer } from '../../src/client/producer.ts'
import { ManualClock } from '../world/manual-clock.ts'

const away = () => Promise.reject(new MqError('NAMESRV_UNREACHABLE', { why: 'down' }))
const versions: Readonly<Record<string, string>> = { line4: 'V4_9_8', usual: 'V5_3_3' }

/** `own` has another second level than every RocketMQ; the others do not say. `silent` says nothing at all. */
function adminOf(route: () => Promise<unknown>): Admin {
  const config = (address: string) =>
    Promise.resolve(new Map(address === 'own' ? [['messageDelayLevel', '1s 10s 1m']] : []))
  const runtimeInfo = (address: string) =>
    address === 'silent'
      ? Promise.reject(new MqError('BROKER_UNREACHABLE', { address, why: 'away' }))
      : Promise.resolve({ brokerVersionDesc: versions[address] ?? 'V5_4_0' })
  return {
    client: { routes: { get: route } },
    brokers: { config, runtimeInfo },
  } as unknown as Admin
}

const routeOver = (...names: string[]) =>
  Promise.resolve({
    brokers: new Map(
      names.map((name) => [name, { brokerName: name, brokerAddrs: new Map([[0, name]]) }]),
    ),
  })

it('takes the levels of the brokers that have the topic', async () => {
  const admin = adminOf(() => routeOver('own'))
  expect(await delayOnBrokers(admin, 'T', { delayLevel: 3 }, 10_000)).toEqual({ delayLevel: 2 })
})

it('takes the usual levels when no name server says who has the topic', async () => {
  const admin = adminOf(away)
  expect(await delayOnBrokers(admin, 'T', { delayLevel: 3 }, 10_000)).toEqual({ delayLevel: 3 })
})

it('takes each broker’s own level for the next try', async () => {
  const levelOf = await delayLevelsFor(
    adminOf(() => routeOver('own', 'usual')),
    'T',
    10_000,
    '--retry-delay',
  )
  expect(['own', 'usual', 'made later'].map(levelOf)).toEqual([2, 3, 3])
})

it('says which broker has no level for the next try, and which are next to it', async () => {
  const admin = adminOf(() => routeOver('usual', 'own'))
  await expect(delayLevelsFor(admin, 'T', 5_000, '--retry-delay')).rejects.toMatchObject({
    code: 'VALUE_INVALID',
    message: 'no delay level of broker own waits 5 s',
    hint: 'use --retry-delay 1s (level 1) or --retry-delay 10s (level 2)',
  })
  await expect(delayLevelsFor(adminOf(away), 'T', 7_000, '--retry-delay')).rejects.toMatchObject({
    message: 'no delay level waits 7 s',
  })
})

it('knows brokers without timers by their line, of those that answer', async () => {
  const old = { broker: 'line4', version: 'V4_9_8' }
  const found = (...names: string[]) =>
    brokerWithoutTimers(
      adminOf(() => routeOver(...names)),
      'T',
    )
  expect(await found('usual')).toBeNull()
  expect(await found('usual', 'silent')).toBeNull()
  expect(await found('usual', 'line4', 'silent')).toEqual(old)
  await expect(found('silent')).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' })
})

it('checks a time of its own when a message is sent, and again after an error or a while', async () => {
  const clock = new ManualClock()
  const sent: OutgoingMessage[] = []
  const producer = {
    send: (message: OutgoingMessage) => Promise.resolve(sent.push(message)),
  } as unknown as Producer
  let route = away as () => Promise<unknown>
  let asked = 0
  const admin = adminOf(() => {
    asked += 1
    return route()
  })
  const sender = new TimerSender(producer, admin, clock)
  const timed = { topic: 'T', body: 'x', deliverAtMs: 1 }
  await sender.send({ topic: 'T', body: 'x', delayLevel: 3 })
  await expect(sender.send(timed)).rejects.toMatchObject({ code: 'NAMESRV_UNREACHABLE' })
  route = () => routeOver('line4')
  await expect(sender.send(timed)).rejects.toMatchObject({ code: 'TIMERS_MISSING', exitCode: 1 })
  expect(sent).toHaveLength(1)
  route = () => routeOver('usual')
  await Promise.all([sender.send(timed), sender.send({ topic: 'T', body: 'x', delayMs: 1 })])
  await sender.send(timed)
  expect([sent.length, asked]).toEqual([4, 3])
  clock.advance(30_000)
  await sender.send(timed)
  expect(asked).toBe(4)
})
