import { describe, expect, it } from 'vitest'
import { type JudgedPhase, limitOf } from '../../src/bench/phase-limit.ts'
import type { Bottleneck } from '../../src/bench/result.ts'

function a(resource: Bottleneck['resource']): Bottleneck {
  return {
    resource,
    confidence: 'high',
    text: `${resource} it was`,
    evidence: [],
    predictedCeiling: null,
    predictionError: null,
  }
}

function phase(
  name: string,
  ackedPerSecond: number,
  found: Bottleneck,
  failed = false,
): JudgedPhase {
  return { name, ackedPerSecond, found, failed }
}

describe('the limit of a run of several phases', () => {
  it('is that of the strongest phase when nothing was full over all of it', () => {
    const phases = [
      phase('before', 1_000, a('none')),
      phase('peak', 10_000, a('nic-tx')),
      phase('after', 2_000, a('disk-bandwidth')),
    ]
    expect(limitOf(a('none'), phases)).toMatchObject({
      resource: 'nic-tx',
      text: 'in phase peak: nic-tx it was',
    })
  })

  it('is that of the lowest rate that failed in a search', () => {
    const phases = [
      phase('find 1000/s', 1_000, a('none')),
      phase('find 4000/s', 3_900, a('disk-flush'), true),
      phase('find 2000/s', 1_900, a('cpu-broker'), true),
      phase('find 1500/s', 1_500, a('gc')),
    ]
    expect(limitOf(a('latency-bound'), phases).resource).toBe('cpu-broker')
  })

  it('is that of the whole when that had one, or when no phase had', () => {
    expect(limitOf(a('cpu-host'), [phase('peak', 1, a('nic-tx'))]).text).toBe('cpu-host it was')
    expect(limitOf(a('latency-bound'), [phase('m', 1, a('none'))]).resource).toBe('latency-bound')
  })
})
