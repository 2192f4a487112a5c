/** A request that the broker does not do, with the code and the remark that its sender gets. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  /** One of `ResponseCode`. */
  readonly code: number
  /** Number that goes with the code (`forbiddenType` of a pull); null when there is none. */
  readonly detail: number | null

  constructor(code: number, remark: string, detail: number | null = null) {
    super(remark)
    this.code = code
    this.detail = detail
  }
}
