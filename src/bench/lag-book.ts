/**
 * How far the consumers are behind, queue by queue: messages between where a consumer is and the
 * queue's end, and how old the last message is that it has read. The end is what the broker told the
 * consumer with its last answer, or what it told us when it was asked in between (a consumer that
 * stands still asks nothing and would not know).
 */
import type { LaneOffsets } from '../drivers/driver.ts'
import type { LanePosition } from './role-messages.ts'

/** What a broker says of a queue. */
export type LaneEnd = Pick<LaneOffsets, 'lane' | 'endOffset'>

interface LaneState {
  /** Where the consumer began; null until it is known. */
  first: number | null
  position: number
  endOffset: number
  /** The end that the broker told us, until the consumer's next news; and since when it lies behind the position. */
  notedEnd: number
  notedSinceNs: number
  /** When the consumer told last. */
  toldNs: number
  lastSentNs: number
  /** Since when something lies behind the position; 0 when nothing does. */
  behindSinceNs: number
  /** When this was last known: another consumer's news makes it no older than it is. */
  knownNs: number
  max: number
  maxMs: number
  /** The last second that was sampled. */
  sampledT: number
  /** Sums for the slope of the lag over the seconds of the window. */
  count: number
  sumT: number
  sumLag: number
  sumTT: number
  sumTLag: number
}

/** One queue at the moment of asking. */
export interface LaneLag {
  readonly lane: number
  /** Messages by which its consumer has moved on since the run began. */
  readonly read: number
  readonly atEnd: number
  readonly max: number
  readonly maxMs: number
  readonly slopePerSecond: number | null
}

/** A consumer that has told nothing for so long, although it tells every second, stands still. */
const SILENT_NS = 2e9
/** A slope needs this many seconds. */
const SLOPE_SECONDS_MIN = 3

export class LagBook {
  readonly #lanes = new Map<number, LaneState>()

  /** @param t the second of the window that ends now; null outside of it */
  onPositions(lanes: readonly LanePosition[], atNs: number, t: number | null): void {
    for (const [lane, position, endOffset, lastSentNs] of lanes) {
      const state = this.#of(lane)
      state.first ??= position
      state.position = position
      state.toldNs = atNs
      state.endOffset = Math.max(state.endOffset, endOffset)
      state.lastSentNs = lastSentNs
      takeNoted(state, atNs)
      if (t !== null) sample(state, t)
    }
  }

  /**
   * Ends that the broker told us while messages are being sent. They are newer than what is known of
   * a consumer at work, which would seem to be behind: they count with its next news, or when it
   * has been silent.
   */
  noteEnds(ends: readonly LaneEnd[], atNs: number): void {
    for (const [state, endOffset] of this.#begun(ends)) {
      state.notedEnd = Math.max(state.notedEnd, endOffset)
      if (state.notedEnd > state.position && state.notedSinceNs === 0) state.notedSinceNs = atNs
      if (atNs - state.toldNs > SILENT_NS) takeNoted(state, atNs)
    }
  }

  /** Ends that the broker told us while nothing is sent: they count at once. */
  onEnds(ends: readonly LaneEnd[], atNs: number): void {
    for (const [state, endOffset] of this.#begun(ends)) {
      state.endOffset = Math.max(state.endOffset, endOffset)
      updateSince(state, atNs)
    }
  }

  /** Messages, all lanes together. */
  get messages(): number {
    let sum = 0
    for (const state of this.#lanes.values()) sum += behind(state)
    return sum
  }

  /** How long the lane that is furthest behind in time has been so, milliseconds. */
  get ageMs(): number {
    let most = 0
    for (const state of this.#lanes.values()) most = Math.max(most, ageOf(state))
    return most
  }

  lanes(): LaneLag[] {
    return [...this.#lanes].map(([lane, state]) => ({
      lane,
      read: Math.max(0, state.position - (state.first ?? state.position)),
      atEnd: behind(state),
      max: state.max,
      maxMs: state.maxMs,
      slopePerSecond: slopeOf(state),
    }))
  }

  /** Of the lanes those that somebody has begun to read, each with its end. */
  *#begun(ends: readonly LaneEnd[]): Iterable<[LaneState, number]> {
    for (const { lane, endOffset } of ends) {
      const state = this.#lanes.get(lane)
      if (state !== undefined) yield [state, endOffset]
    }
  }

  #of(lane: number): LaneState {
    let state = this.#lanes.get(lane)
    if (state === undefined) {
      state = {
        first: null,
        position: 0,
        endOffset: 0,
        notedEnd: 0,
        notedSinceNs: 0,
        toldNs: 0,
        lastSentNs: 0,
        behindSinceNs: 0,
        knownNs: 0,
        max: 0,
        maxMs: 0,
        sampledT: Number.NEGATIVE_INFINITY,
        count: 0,
        sumT: 0,
        sumLag: 0,
        sumTT: 0,
        sumTLag: 0,
      }
      this.#lanes.set(lane, state)
    }
    return state
  }
}

function behind({ position, endOffset }: LaneState): number {
  return Math.max(0, endOffset - position)
}

function takeNoted(state: LaneState, atNs: number): void {
  const { notedEnd, notedSinceNs, position } = state
  state.endOffset = Math.max(state.endOffset, notedEnd)
  const isKnown = notedEnd > position && state.behindSinceNs === 0
  updateSince(state, isKnown ? notedSinceNs : atNs)
  state.knownNs = atNs
  if (notedEnd <= position) state.notedSinceNs = 0
}

function updateSince(state: LaneState, atNs: number): void {
  const lookedNs = state.knownNs
  state.knownNs = atNs
  if (behind(state) === 0) state.behindSinceNs = 0
  else if (state.behindSinceNs === 0) {
    // Whoever has read something since the last look is behind by the age of that.
    state.behindSinceNs = state.lastSentNs > lookedNs ? state.lastSentNs : atNs
  }
}

/** Takes the present lag as that of second `t`; the first look of a second counts for the slope. */
function sample(state: LaneState, t: number): void {
  const lag = behind(state)
  state.max = Math.max(state.max, lag)
  state.maxMs = Math.max(state.maxMs, ageOf(state))
  if (state.sampledT === t) return
  state.sampledT = t
  state.count += 1
  state.sumT += t
  state.sumLag += lag
  state.sumTT += t * t
  state.sumTLag += t * lag
}

/**
 * Age of what was read last, but no more than the time since the lane fell behind: in a lane that
 * was silent for long, the last message is old although nothing waits for long.
 */
function ageOf({ position, endOffset, lastSentNs, behindSinceNs, knownNs }: LaneState): number {
  if (endOffset <= position) return 0
  return Math.max(0, (knownNs - Math.max(lastSentNs, behindSinceNs)) / 1e6)
}

function slopeOf({ count, sumT, sumLag, sumTT, sumTLag }: LaneState): number | null {
  if (count < SLOPE_SECONDS_MIN) return null
  const variance = sumTT - (sumT * sumT) / count
  return variance > 0 ? (sumTLag - (sumT * sumLag) / count) / variance : null
}
