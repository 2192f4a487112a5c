export interface Random {
  /** A whole number in [0, bound); bound is 1 … 2^32. */
  below(bound: number): number
  /** A number in [0, 1). */
  float(): number
  /** Fills the buffer with random bytes and returns it. */
  fill(target: Buffer): Buffer
}
