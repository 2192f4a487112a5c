/**
 * Offered rate over time, and when each message of it is due. The schedule is made before anything
 * is sent and knows nothing of the target: message k is due where the integral of the rate reaches
 * k. Latency counted from these moments cannot be beautified by a target that stalls its senders.
 *
 * Several producers share one schedule: producer p of n sends messages p, p + n, p + 2n …, so that
 * together they keep the shape, and their messages lie evenly between each other.
 */
import { assert } from '../base/assert.ts'

export type RateShape =
  | { readonly kind: 'hold'; readonly rateHz: number }
  /** From one rate to another in a straight line. */
  | { readonly kind: 'ramp'; readonly fromHz: number; readonly toHz: number }
  /** The same in equal stairs, the first at `fromHz`, the last at `toHz`. */
  | {
      readonly kind: 'step'
      readonly fromHz: number
      readonly toHz: number
      readonly steps: number
    }
  /** Around the mean of both, from the lower one, one wave a period. */
  | {
      readonly kind: 'sine'
      readonly fromHz: number
      readonly toHz: number
      readonly periodMs: number
    }
  /** `fromHz`, and at the end of every period `toHz` for a while. */
  | {
      readonly kind: 'burst'
      readonly fromHz: number
      readonly toHz: number
      readonly periodMs: number
      readonly burstMs: number
    }

/** Messages a second at a moment. @param tMs from the start of the shape */
export function rateAt(shape: RateShape, tMs: number, durationMs: number): number {
  switch (shape.kind) {
    case 'hold':
      return shape.rateHz
    case 'ramp':
      return shape.fromHz + (shape.toHz - shape.fromHz) * (tMs / durationMs)
    case 'step':
      return stairHz(shape, Math.min(shape.steps - 1, Math.floor((tMs / durationMs) * shape.steps)))
    case 'sine': {
      const mean = (shape.fromHz + shape.toHz) / 2
      const swing = (shape.toHz - shape.fromHz) / 2
      return mean - swing * Math.cos((2 * Math.PI * tMs) / shape.periodMs)
    }
    case 'burst':
      return tMs % shape.periodMs >= shape.periodMs - shape.burstMs ? shape.toHz : shape.fromHz
  }
}

/** Messages that are due in the first `tMs`, as a real number. */
export function dueUntil(shape: RateShape, tMs: number, durationMs: number): number {
  const t = tMs / 1000
  switch (shape.kind) {
    case 'hold':
      return shape.rateHz * t
    case 'ramp':
      return shape.fromHz * t + ((shape.toHz - shape.fromHz) * t * t) / (durationMs / 500)
    case 'step': {
      const stairMs = durationMs / shape.steps
      const whole = Math.min(shape.steps - 1, Math.floor(tMs / stairMs))
      let due = ((tMs - whole * stairMs) / 1000) * stairHz(shape, whole)
      for (let stair = 0; stair < whole; stair += 1) {
        due += (stairMs / 1000) * stairHz(shape, stair)
      }
      return due
    }
    case 'sine': {
      const mean = (shape.fromHz + shape.toHz) / 2
      const swing = (shape.toHz - shape.fromHz) / 2
      const wave = (2 * Math.PI) / (shape.periodMs / 1000)
      return mean * t - (swing / wave) * Math.sin(wave * t)
    }
    case 'burst': {
      const periods = Math.floor(tMs / shape.periodMs)
      const restMs = tMs - periods * shape.periodMs
      const quietMs = shape.periodMs - shape.burstMs
      const each = (shape.fromHz * quietMs + shape.toHz * shape.burstMs) / 1000
      const quiet = (Math.min(restMs, quietMs) / 1000) * shape.fromHz
      return periods * each + quiet + (Math.max(0, restMs - quietMs) / 1000) * shape.toHz
    }
  }
}

/** The highest rate that the shape asks for. */
export function peakHz(shape: RateShape): number {
  return shape.kind === 'hold' ? shape.rateHz : Math.max(shape.fromHz, shape.toHz)
}

function stairHz(shape: RateShape & { kind: 'step' }, stair: number): number {
  if (shape.steps === 1) return shape.fromHz
  return shape.fromHz + ((shape.toHz - shape.fromHz) * stair) / (shape.steps - 1)
}

/** Shape and length of a part of a load, as it travels to the producers. */
export interface TimedShape {
  readonly shape: RateShape
  readonly durationMs: number
}

/** The due times of one producer, one after the other. */
export class Schedule {
  readonly #shape: RateShape
  readonly #startNs: number
  readonly #durationMs: number
  readonly #total: number
  readonly #step: number
  #k: number
  #nextNs = 0
  #lastMs = 0
  /** Messages whose time was taken. */
  taken = 0

  /** @param producer which of `producers` this one is, from 0 */
  constructor(timed: TimedShape, startNs: number, producer: number, producers: number) {
    this.#shape = timed.shape
    this.#durationMs = timed.durationMs
    this.#startNs = startNs
    this.#step = producers
    this.#total = Number.isFinite(timed.durationMs)
      ? dueUntil(timed.shape, timed.durationMs, timed.durationMs)
      : Number.POSITIVE_INFINITY
    this.#k = producer
    this.#nextNs = this.#timeOf(this.#k)
  }

  /** When the next message is due, monotonic nanoseconds; infinite when there is none any more. */
  get nextNs(): number {
    return this.#nextNs
  }

  /** Goes on to the message after it. */
  take(): void {
    this.taken += 1
    this.#k += this.#step
    this.#nextNs = this.#timeOf(this.#k)
  }

  /** How many messages of this producer were due before a moment, taken or not. */
  dueBefore(atNs: number): number {
    const tMs = Math.min(this.#durationMs, Math.max(0, (atNs - this.#startNs) / 1e6))
    const due = Math.min(this.#total, dueUntil(this.#shape, tMs, this.#durationMs))
    const first = this.#k - this.taken * this.#step
    return Math.max(0, Math.ceil((due - first) / this.#step - 1e-9))
  }

  #timeOf(k: number): number {
    if (k >= this.#total - 1e-9) return Number.POSITIVE_INFINITY
    const shape = this.#shape
    if (shape.kind === 'hold') return this.#startNs + (k / shape.rateHz) * 1e9
    return this.#startNs + this.#inverse(k) * 1e6
  }

  /** Milliseconds at which `k` messages have become due: Newton's steps inside a shrinking bracket. */
  #inverse(k: number): number {
    const shape = this.#shape
    const durationMs = this.#durationMs
    let low = this.#lastMs
    let high = durationMs
    let guess = low
    for (let round = 0; round < 80; round += 1) {
      const over = dueUntil(shape, guess, durationMs) - k
      if (over > 0) high = guess
      else low = guess
      if (Math.abs(over) < 1e-7 || high - low < 1e-6) break
      const rate = rateAt(shape, guess, durationMs) / 1000
      const newton = guess - over / rate
      guess = newton > low && newton < high ? newton : (low + high) / 2
    }
    this.#lastMs = guess
    assert(Number.isFinite(guess), 'every message of a shape has its time')
    return guess
  }
}
