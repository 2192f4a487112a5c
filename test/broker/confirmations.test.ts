import { expect, it } from 'vitest'
import { Confirmations } from '../../src/broker/confirmations.ts'
import type { Store } from '../../src/store/store.ts'
import { ManualClock } from '../world/manual-clock.ts'

it('who begins to wait after a loss is told of it, though the log has come as far since', async () => {
  const store = { watermarks: { confirmed: 0 }, state: 'ok' }
  const confirmations = new Confirmations(store as unknown as Store, new ManualClock())
  const { losses } = confirmations
  confirmations.onLost(50)
  store.watermarks.confirmed = 200
  const waiting = confirmations.wait(100, losses)
  confirmations.onAdvanced()
  expect(await waiting).toBe('the log could not be written')
  const next = confirmations.wait(150)
  confirmations.onAdvanced()
  expect(await next).toBeNull()
})

it('who answers at once is told while the news of the log is, in the order of the appends', () => {
  const store = { watermarks: { confirmed: 0 }, state: 'ok' }
  const confirmations = new Confirmations(store as unknown as Store, new ManualClock())
  const told: string[] = []
  confirmations.tell(10, (fault) => told.push(`10 ${fault}`))
  confirmations.tell(20, (fault) => told.push(`20 ${fault}`))
  confirmations.tell(30, (fault) => told.push(`30 ${fault}`))
  store.watermarks.confirmed = 20
  confirmations.onAdvanced()
  expect(told).toEqual(['10 null', '20 null'])
  confirmations.onLost(20)
  expect(told.slice(2)).toEqual(['30 the log could not be written'])
  expect(confirmations.count).toBe(0)
})
