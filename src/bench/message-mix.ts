/**
 * Where each message of a producer goes, of which kind it is and which key it has: by weights and
 * distributions, from a seed, so that two runs send the same. Without any of them lanes come in
 * turn and nothing is drawn.
 */
import { deal } from './deal.ts'
import { xorshift } from './payload.ts'

export interface KeyMix {
  readonly distribution: 'uniform' | 'zipf' | 'hot'
  /** Different keys, 1 … 1,000,000. */
  readonly cardinality: number
  /** Of `zipf`: the key of rank r comes in proportion to r to the power of minus this. */
  readonly exponent: number
  /** Of `hot`: so many keys get this share of all messages. */
  readonly hotKeys: number
  readonly hotShare: number
  /** The key decides on the lane: all messages of one key lie in one queue, as with an order key. */
  readonly chooseQueue: boolean
}

export interface MessageMix {
  readonly topics: readonly string[]
  /** By topic; null for all the same. */
  readonly topicWeights: readonly number[] | null
  /** By queue id; null for all the same. */
  readonly queueWeights: readonly number[] | null
  /** By kind. */
  readonly kindWeights: readonly number[]
  readonly keys: KeyMix | null
  readonly seed: number
}

export interface MixedLane {
  readonly topic: string
  readonly queueId: number
}

export const plainMix: MessageMix = {
  topics: [],
  topicWeights: null,
  queueWeights: null,
  kindWeights: [1],
  keys: null,
  seed: 1,
}

/** Lanes that are dealt before the same come again; the rarest still has its place. */
const LANES_DEALT = 65_536
const KINDS_DEALT = 4_096

export class MessageDeal {
  /** Of the next message; set by `takeLane` and `takeMessage`. */
  lane = 0
  kind = 0
  key = 0
  readonly #laneCount: number
  readonly #lanes: Uint16Array | null
  readonly #kinds: Uint16Array | null
  readonly #keys: KeyDraw | null
  readonly #keyChooses: boolean
  #nextLane: number
  #nextKind = 0

  /** @param producer its number: each begins at another lane, and draws other keys */
  constructor(lanes: readonly MixedLane[], mix: MessageMix, producer: number) {
    const random = xorshift(mix.seed + producer)
    this.#laneCount = lanes.length
    const weights = laneWeights(lanes, mix)
    this.#lanes = weights === null ? null : Uint16Array.from(deal(weights, LANES_DEALT, random))
    this.#nextLane = weights === null ? producer % lanes.length : 0
    this.#kinds =
      mix.kindWeights.length < 2
        ? null
        : Uint16Array.from(deal(mix.kindWeights, KINDS_DEALT, random))
    this.#keys = mix.keys === null ? null : new KeyDraw(mix.keys, random)
    this.#keyChooses = mix.keys?.chooseQueue === true
  }

  /** The lane of the next message, or of the next batch. */
  takeLane(): void {
    const next = this.#nextLane
    const lanes = this.#lanes
    this.lane = lanes === null ? next : (lanes[next] ?? 0)
    this.#nextLane = next + 1 === (lanes?.length ?? this.#laneCount) ? 0 : next + 1
  }

  /** Kind and key of the next message, and its lane where the key decides on that. */
  takeMessage(): void {
    const kinds = this.#kinds
    if (kinds !== null) {
      this.kind = kinds[this.#nextKind] ?? 0
      this.#nextKind = this.#nextKind + 1 === kinds.length ? 0 : this.#nextKind + 1
    }
    if (this.#keys === null) return
    this.key = this.#keys.draw()
    if (this.#keyChooses) this.lane = laneOfKey(this.key, this.#laneCount)
  }
}

/** The same for every producer. */
export function laneOfKey(key: number, lanes: number): number {
  const mixed = Math.imul(key ^ (key >>> 15), 0x9e37_79b1)
  return ((mixed ^ (mixed >>> 13)) >>> 0) % lanes
}

function laneWeights(lanes: readonly MixedLane[], mix: MessageMix): number[] | null {
  const { topics, topicWeights, queueWeights } = mix
  if (topicWeights === null && queueWeights === null) return null
  const rankOf = new Map(topics.map((topic, rank) => [topic, rank]))
  const weights = lanes.map(({ topic, queueId }) => {
    const ofTopic = topicWeights === null ? 1 : (topicWeights[rankOf.get(topic) ?? 0] ?? 0)
    return ofTopic * (queueWeights === null ? 1 : (queueWeights[queueId] ?? 0))
  })
  return weights.some((weight) => weight > 0) ? weights : null
}

/** Draws keys 0 … cardinality − 1; the lower, the more often where some are more often than others. */
class KeyDraw {
  readonly #options: KeyMix
  readonly #random: () => number
  /** Of `zipf`: by key, the share of all draws that is at or below it. */
  readonly #upTo: Float64Array | null

  constructor(options: KeyMix, random: () => number) {
    this.#options = options
    this.#random = random
    this.#upTo = options.distribution === 'zipf' ? zipfShares(options) : null
  }

  draw(): number {
    const { distribution, cardinality, hotKeys, hotShare } = this.#options
    const chance = this.#random() / 0x1_0000_0000
    if (distribution === 'uniform') return Math.floor(chance * cardinality)
    if (distribution === 'zipf') return this.#search(chance)
    if (chance < hotShare) return Math.floor((chance / hotShare) * hotKeys)
    const cold = (chance - hotShare) / (1 - hotShare)
    return hotKeys + Math.floor(cold * (cardinality - hotKeys))
  }

  #search(chance: number): number {
    const upTo = this.#upTo
    if (upTo === null) return 0
    let [low, high] = [0, upTo.length - 1]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((upTo[middle] ?? 1) > chance) high = middle
      else low = middle + 1
    }
    return low
  }
}

function zipfShares({ cardinality, exponent }: KeyMix): Float64Array {
  const upTo = new Float64Array(cardinality)
  let sum = 0
  for (let rank = 0; rank < cardinality; rank += 1) {
    sum += (rank + 1) ** -exponent
    upTo[rank] = sum
  }
  for (let rank = 0; rank < cardinality; rank += 1) upTo[rank] = (upTo[rank] ?? 0) / sum
  return upTo
}
