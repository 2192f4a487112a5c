/**
 * Statistics for comparisons on noisy machines: exact tests where they can be had, no assumption
 * about the shape of the noise for the test itself, and an interval beside it. Pure.
 */
import { xorshift } from './payload.ts'

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

export function variance(values: readonly number[]): number {
  const middle = mean(values)
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1)
}

export interface Interval {
  readonly estimate: number
  readonly low: number
  readonly high: number
}

/** Welch's interval for mean(b) − mean(a), two-sided; at least two values each. */
export function welchInterval(
  a: readonly number[],
  b: readonly number[],
  confidence = 0.95,
): Interval {
  const estimate = mean(b) - mean(a)
  const [ea, eb] = [variance(a) / a.length, variance(b) / b.length]
  const error = Math.sqrt(ea + eb)
  if (error === 0) return { estimate, low: estimate, high: estimate }
  const degrees = (ea + eb) ** 2 / (ea ** 2 / (a.length - 1) + eb ** 2 / (b.length - 1))
  const half = studentQuantile(1 - (1 - confidence) / 2, degrees) * error
  return { estimate, low: estimate - half, high: estimate + half }
}

/** Student's interval for the mean of paired differences; at least two. */
export function pairedInterval(differences: readonly number[], confidence = 0.95): Interval {
  const estimate = mean(differences)
  const error = Math.sqrt(variance(differences) / differences.length)
  const half = studentQuantile(1 - (1 - confidence) / 2, differences.length - 1) * error
  return { estimate, low: estimate - half, high: estimate + half }
}

/** Above this many arrangements a test draws some instead of trying all. */
const ARRANGEMENTS_MAX = 200_000

/**
 * Permutation test of the difference of means, two-sided: how often a random split of all values
 * differs at least as much as the given one. Exact as long as there are few splits.
 */
export function permutationP(a: readonly number[], b: readonly number[]): number {
  const all = [...a, ...b]
  const total = all.reduce((sum, value) => sum + value, 0)
  const observed = Math.abs(mean(b) - mean(a))
  const differs = (sumA: number) =>
    Math.abs((total - sumA) / b.length - sumA / a.length) >= observed - 1e-12
  if (binomial(all.length, a.length) <= ARRANGEMENTS_MAX) {
    let hits = 0
    let count = 0
    const choose = (from: number, left: number, sum: number) => {
      if (left === 0) {
        count += 1
        if (differs(sum)) hits += 1
        return
      }
      for (let index = from; index <= all.length - left; index += 1) {
        choose(index + 1, left - 1, sum + (all[index] ?? 0))
      }
    }
    choose(0, a.length, 0)
    return hits / count
  }
  const random = xorshift(1)
  let hits = 1
  for (let draw = 0; draw < ARRANGEMENTS_MAX; draw += 1) {
    const pool = [...all]
    let sum = 0
    for (let taken = 0; taken < a.length; taken += 1) {
      const other = taken + (random() % (pool.length - taken))
      const picked = pool[other] ?? 0
      pool[other] = pool[taken] ?? 0
      sum += picked
    }
    if (differs(sum)) hits += 1
  }
  return hits / (ARRANGEMENTS_MAX + 1)
}

/** Above this many pairs a sign-flip test draws. */
const FLIPPED_EXACTLY_MAX = 30

/**
 * Sign-flip test of paired differences, two-sided: how often their sum would be as far from zero if
 * each had either sign by chance. Exact for up to 30 pairs: the sums of both halves are listed and
 * sorted, and for each of one half those of the other that go with it are counted.
 */
export function signFlipP(differences: readonly number[]): number {
  const size = differences.reduce((sum, value) => sum + Math.abs(value), 0)
  // Equal sums may differ in their last digits.
  const observed = Math.abs(differences.reduce((sum, value) => sum + value, 0)) - size * 1e-12
  if (differences.length > FLIPPED_EXACTLY_MAX) return drawnSignFlipP(differences, observed)
  const middle = Math.floor(differences.length / 2)
  const left = signedSums(differences.slice(0, middle))
  const right = signedSums(differences.slice(middle))
  let hits = 0
  // As one of the left grows, ever more of the right go with it.
  let first = right.length
  for (const one of left) {
    while (first > 0 && (right[first - 1] ?? 0) + one >= observed) first -= 1
    hits += right.length - first
  }
  // By symmetry as many sums lie below −observed as above it.
  return Math.min(1, (2 * hits) / 2 ** differences.length)
}

/** All sums of the values with either sign, ascending: with each value two sorted lists are merged. */
function signedSums(values: readonly number[]): Float64Array {
  let sums = new Float64Array(1)
  for (const value of values) {
    const size = Math.abs(value)
    const next = new Float64Array(sums.length * 2)
    let [low, high] = [0, 0]
    for (let at = 0; at < next.length; at += 1) {
      const takesLow = low < sums.length && (sums[low] ?? 0) - size <= (sums[high] ?? 0) + size
      next[at] = takesLow ? (sums[low] ?? 0) - size : (sums[high] ?? 0) + size
      if (takesLow) low += 1
      else high += 1
    }
    sums = next
  }
  return sums
}

function drawnSignFlipP(differences: readonly number[], observed: number): number {
  const random = xorshift(1)
  let hits = 1
  for (let draw = 0; draw < ARRANGEMENTS_MAX; draw += 1) {
    let sum = 0
    for (const value of differences) sum += (random() & 1) === 1 ? -value : value
    if (Math.abs(sum) >= observed) hits += 1
  }
  return hits / (ARRANGEMENTS_MAX + 1)
}

/** Median of the means of all pairs of values: a centre that single outliers do not move. */
export function hodgesLehmann(values: readonly number[]): number {
  const means = values.flatMap((one, index) =>
    values.slice(index).map((other) => (one + other) / 2),
  )
  means.sort((x, y) => x - y)
  const middle = means.length / 2
  return ((means[Math.ceil(middle) - 1] ?? 0) + (means[Math.floor(middle)] ?? 0)) / 2
}

/** Holm's correction: p-values that hold for all of the family together, in the order given. */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, index) => index)
  order.sort((x, y) => (pValues[x] ?? 0) - (pValues[y] ?? 0))
  const corrected = new Array<number>(pValues.length).fill(1)
  let floor = 0
  for (const [rank, index] of order.entries()) {
    floor = Math.max(floor, Math.min(1, (pValues[index] ?? 1) * (pValues.length - rank)))
    corrected[index] = floor
  }
  return corrected
}

function binomial(n: number, k: number): number {
  let result = 1
  for (let index = 1; index <= k; index += 1) result = (result * (n - k + index)) / index
  return result
}

/** Quantiles that were asked for before: a gate asks for the same few again and again. */
const knownQuantiles = new Map<string, number>()
const KNOWN_QUANTILES_MAX = 1_000

/** Quantile of Student's t distribution. */
export function studentQuantile(probability: number, degrees: number): number {
  const key = `${probability}/${degrees}`
  const known = knownQuantiles.get(key)
  if (known !== undefined) return known
  const quantile = bisectedQuantile(probability, degrees)
  if (knownQuantiles.size < KNOWN_QUANTILES_MAX) knownQuantiles.set(key, quantile)
  return quantile
}

/** By bisection on the distribution function. */
function bisectedQuantile(probability: number, degrees: number): number {
  let [low, high] = [0, 1e6]
  for (let round = 0; round < 100; round += 1) {
    const middle = (low + high) / 2
    if (studentCdf(middle, degrees) < probability) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** For t ≥ 0. */
function studentCdf(t: number, degrees: number): number {
  return 1 - incompleteBeta(degrees / (degrees + t * t), degrees / 2, 0.5) / 2
}

/** The regularised incomplete beta function, by its continued fraction (Lentz). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  const front = Math.exp(
    logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x),
  )
  if (x > (a + 1) / (a + b + 2)) return 1 - (front * betaFraction(1 - x, b, a)) / b
  return (front * betaFraction(x, a, b)) / a
}

function betaFraction(x: number, a: number, b: number): number {
  const tiny = 1e-300
  let c = 1
  let d = 1 - ((a + b) * x) / (a + 1)
  d = 1 / (Math.abs(d) < tiny ? tiny : d)
  let result = d
  for (let m = 1; m <= 500; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    for (const term of [even, odd]) {
      d = 1 + term * d
      d = 1 / (Math.abs(d) < tiny ? tiny : d)
      c = 1 + term / c
      if (Math.abs(c) < tiny) c = tiny
      result *= d * c
    }
    if (Math.abs(d * c - 1) < 1e-14) break
  }
  return result
}

/** Stirling's series, shifted so that it is exact to some twelve digits. */
function logGamma(value: number): number {
  let shift = 0
  let x = value
  while (x < 10) {
    shift -= Math.log(x)
    x += 1
  }
  const series = 1 / (12 * x) - 1 / (360 * x ** 3) + 1 / (1260 * x ** 5)
  return shift + (x - 0.5) * Math.log(x) - x + Math.log(2 * Math.PI) / 2 + series
}
