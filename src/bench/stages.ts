/** From the load of a scenario to what the load processes are told: pure. */
import type { Load } from './load-program.ts'
import { type RateShape, peakHz } from './rate-shape.ts'
import type { Scenario, Stage } from './scenario-schema.ts'

/** Rates that a search tries when nothing else is said. */
export const TRIALS_MAX = 15
/** Points of a curve when nothing else is said. */
export const CURVE_STEPS = 12

/** One part of the load with its place in the run. */
export interface PlannedStage {
  readonly name: string
  /** From 1: which round of the whole load this is. */
  readonly repetition: number
  readonly stage: Stage
  readonly load: Load
}

export interface StageFault {
  readonly key: string
  readonly what: string
  readonly hint: string
}

/** Keys that each shape needs; an open load needs what its shape needs, a closed one nothing. */
const needs: Readonly<Record<Stage['shape'], readonly (keyof Stage)[]>> = {
  hold: ['rate'],
  ramp: ['from', 'to'],
  step: ['from', 'to', 'steps'],
  sine: ['from', 'to', 'period'],
  burst: ['from', 'to', 'period', 'burst'],
  search: ['from', 'to', 'sla'],
  curve: ['from', 'to'],
  balance: ['from', 'to'],
}

const shapeKeys = [
  'rate',
  'from',
  'to',
  'steps',
  'period',
  'burst',
  'sla',
  'resolution',
  'maxTrials',
  'max',
] as const
/** Keys that a shape takes and can do without. */
const optional: Readonly<Partial<Record<Stage['shape'], readonly (keyof Stage)[]>>> = {
  search: ['resolution', 'maxTrials'],
  curve: ['steps'],
  balance: ['resolution', 'maxTrials', 'max', 'sla'],
}

/** Shapes whose rates follow from how the last one went. */
export function isTried({ shape }: Pick<Stage, 'shape'>): boolean {
  return shape === 'search' || shape === 'curve' || shape === 'balance'
}

/** What does not go together in one stage; null when it is right. */
export function faultOfStage(stage: Stage): StageFault | null {
  const given = shapeKeys.filter((key) => stage[key] !== undefined)
  if (stage.until !== undefined && stage.consumers === 'paused') {
    const what = 'consumers that are paused drain nothing'
    return { key: 'until', what, hint: 'leave out consumers: paused' }
  }
  if (stage.model !== 'open') {
    if (stage.shape !== 'hold') {
      const what = `a load of model ${stage.model} has no shape ${stage.shape}`
      return { key: 'shape', what, hint: 'set model: open, or shape: hold' }
    }
    const [key] = given
    if (key === undefined) return null
    const what = `a load of model ${stage.model} takes no ${key}`
    return { key, what, hint: 'set model: open to send at a rate' }
  }
  const wanted = needs[stage.shape]
  const missing = wanted.find((key) => stage[key] === undefined)
  if (missing !== undefined) {
    const what = `an open load of shape ${stage.shape} needs ${missing}`
    return {
      key: 'model',
      what,
      hint: `it takes ${wanted.join(', ')}; rates as in 5000/s or 20k/s`,
    }
  }
  const extra = given.find(
    (key) => !wanted.includes(key) && optional[stage.shape]?.includes(key) !== true,
  )
  if (extra !== undefined) {
    const what = `${extra} does not belong to shape ${stage.shape}`
    return { key: extra, what, hint: `it takes ${wanted.join(', ')}` }
  }
  if (isTried(stage) && (stage.from ?? 0) > (stage.to ?? 0)) {
    const what = `a ${stage.shape} goes up: from is higher than to`
    const hint =
      stage.shape === 'curve'
        ? 'write the lower rate as from'
        : 'it looks below from by itself when even that does not hold'
    return { key: 'from', what, hint }
  }
  if (stage.max !== undefined && Object.keys(stage.max).length === 0) {
    return { key: 'max', what: 'no resource is limited', hint: 'write max: {cpu: 70%}' }
  }
  if ((stage.burst ?? 0) > (stage.period ?? Number.POSITIVE_INFINITY)) {
    return { key: 'burst', what: 'a burst is longer than its period', hint: 'make it shorter' }
  }
  return null
}

/** The shape of an open stage that `faultOfStage` found right. */
function shapeOf(stage: Stage): RateShape {
  const { rate = 0, from = 0, to = 0, steps = 2, period = 1000, burst = 100 } = stage
  switch (stage.shape) {
    case 'hold':
      return { kind: 'hold', rateHz: rate }
    case 'search':
    case 'curve':
    case 'balance':
      return { kind: 'hold', rateHz: from }
    case 'ramp':
      return { kind: 'ramp', fromHz: from, toHz: to }
    case 'step':
      return { kind: 'step', fromHz: from, toHz: to, steps }
    case 'sine':
      return { kind: 'sine', fromHz: from, toHz: to, periodMs: period }
    case 'burst':
      return { kind: 'burst', fromHz: from, toHz: to, periodMs: period, burstMs: burst }
  }
}

function loadOf(stage: Stage): Load {
  return stage.model !== 'open'
    ? { model: stage.model }
    : { model: 'open', shape: shapeOf(stage), durationMs: stage.for }
}

/** Everything that counts, in order, repetitions written out. */
export function stagesOf(scenario: Scenario): PlannedStage[] {
  return Array.from({ length: scenario.repeat }, (_, round) =>
    scenario.load.map((stage) => ({
      name: stage.as,
      repetition: round + 1,
      stage,
      load: loadOf(stage),
    })),
  ).flat()
}

/** Stages whose length is known and that can follow each other without a look at the result. */
export function isTimed({ stage }: PlannedStage): boolean {
  return stage.until === undefined && !isTried(stage)
}

/** What runs before anything counts: the first stage at the rate with which it begins. */
export function warmupLoad(scenario: Scenario): Load {
  const [first] = scenario.load
  if (first === undefined || first.model !== 'open') return { model: 'closed' }
  const rateHz = first.rate ?? first.from ?? 1
  return { model: 'open', shape: { kind: 'hold', rateHz }, durationMs: Number.POSITIVE_INFINITY }
}

/** How long a stage may take, milliseconds; a search, as long as all its trials. */
function longestMs(stage: Stage): number {
  if (stage.shape === 'curve') return stage.for * (stage.steps ?? CURVE_STEPS)
  return stage.for * (isTried(stage) ? (stage.maxTrials ?? TRIALS_MAX) : 1)
}

/** Length of everything that counts, milliseconds; at most, where that is not known before. */
export function plannedMs(scenario: Scenario): number {
  return scenario.repeat * scenario.load.reduce((sum, stage) => sum + longestMs(stage), 0)
}

/** The highest rate that any stage asks for; null when a closed one takes what it gets. */
export function plannedPeakHz(scenario: Scenario): number | null {
  let peak = 0
  for (const stage of scenario.load) {
    if (stage.model === 'closed') return null
    if (stage.model === 'idle') continue
    peak = Math.max(peak, peakHz(shapeOf(stage)), stage.to ?? 0)
  }
  return peak
}
