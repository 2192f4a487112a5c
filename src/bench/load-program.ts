/**
 * What the load processes have to do, and when: a line of segments on the host's monotonic clock,
 * which the orchestrator makes longer while they run (a search decides on its next rate when it
 * knows how the last one went). Everybody has the same program, so everybody counts to the same
 * phase.
 */
import type { TimedShape } from './rate-shape.ts'

export type Load =
  /** Every sender sends as soon as it has its answer. */
  | { readonly model: 'closed' }
  /** Messages are due by a schedule, whatever the target does. */
  | ({ readonly model: 'open' } & TimedShape)
  | { readonly model: 'idle' }

export interface Segment {
  /** The phase to which its messages belong, from 0; null when they count nowhere. */
  readonly phase: number | null
  readonly startNs: number
  /** Infinite while nobody knows: the next segment's start ends it. */
  readonly endNs: number
  readonly load: Load
  /** Consumers ask for nothing during it. */
  readonly consumersPaused?: boolean | undefined
}

/** Segments one after the other, without gaps that overlap. */
export class LoadProgram {
  readonly #segments: Segment[] = []
  /** No segment will be added any more. */
  isFinal = false

  get segments(): readonly Segment[] {
    return this.#segments
  }

  /** Adds segments; an open-ended one before them ends where they begin. */
  append(segments: readonly Segment[]): void {
    const [first] = segments
    if (first === undefined) return
    const last = this.#segments.at(-1)
    if (last !== undefined && last.endNs > first.startNs) {
      this.#segments[this.#segments.length - 1] = { ...last, endNs: first.startNs }
    }
    this.#segments.push(...segments)
  }

  /** End of the last segment; infinite while it is open. */
  get endNs(): number {
    return this.#segments.at(-1)?.endNs ?? Number.POSITIVE_INFINITY
  }

  /** Start of the first segment that counts; null when none is known. */
  get startNs(): number | null {
    return this.#segments.find(({ phase }) => phase !== null)?.startNs ?? null
  }

  segment(index: number): Segment | null {
    return this.#segments[index] ?? null
  }

  /** Phase of a moment; null outside of all that count. Asked for times that mostly grow. */
  phaseAt(atNs: number): number | null {
    const segment = this.at(atNs)
    return segment === null ? null : segment.phase
  }

  at(atNs: number): Segment | null {
    for (let index = this.#segments.length - 1; index >= 0; index -= 1) {
      const segment = this.#segments[index]
      if (segment !== undefined && atNs >= segment.startNs) {
        return atNs < segment.endNs ? segment : null
      }
    }
    return null
  }
}
