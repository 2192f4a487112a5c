import { describe, expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import { expectSuccess } from '../../src/client/answers.ts'
import { askEach, valuesOf } from '../../src/client/cluster-view.ts'
import { RequestCode, ResponseCode } from '../../src/protocol/codes.ts'
import { request, respond } from '../../src/protocol/command.ts'

const brokers = ['a', 'b', 'c'].map((broker) => ({
  cluster: 'C',
  broker,
  id: 0,
  address: `${broker}:1`,
}))

/** What each broker does: a value, a refusal, or silence. */
async function ask(deeds: Record<string, number | 'refuses' | 'is silent'>): Promise<number[]> {
  const outcomes = await askEach(brokers, async ({ broker, address }) => {
    await Promise.resolve()
    const deed = deeds[broker] ?? 0
    if (typeof deed === 'number') return deed
    if (deed === 'is silent') {
      return Promise.reject(
        new MqError('REQUEST_TIMEOUT', { address, request: 'it', timeoutMs: 1 }),
      )
    }
    const answer = respond(
      request(RequestCode.GET_CONSUME_STATS),
      ResponseCode.SYSTEM_ERROR,
      'no such group',
    )
    expectSuccess(address, RequestCode.GET_CONSUME_STATS, answer)
    return 0
  })
  return valuesOf(outcomes)
}

describe('what several brokers were asked', () => {
  it('leaves out those that refuse, as they have nothing', async () => {
    expect(await ask({ a: 1, b: 'refuses', c: 3 })).toEqual([1, 3])
  })

  it('is never told without one that does not answer, as it would look smaller than it is', async () => {
    await expect(ask({ a: 1, b: 'is silent', c: 3 })).rejects.toMatchObject({
      code: 'REQUEST_TIMEOUT',
    })
    await expect(ask({ a: 'refuses', b: 'refuses', c: 'is silent' })).rejects.toMatchObject({
      code: 'REQUEST_TIMEOUT',
    })
  })

  it('is the refusal when all refuse', async () => {
    await expect(ask({ a: 'refuses', b: 'refuses', c: 'refuses' })).rejects.toThrow('no such group')
  })
})
