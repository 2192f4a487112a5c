/**
 * END_TRANSACTION as the broker's quick path reads it: the JSON header in the plain form that clients
 * write, scanned byte by byte. Everything else — other codes, white space, escapes, the binary header, a
 * remark, a field that is missing, a decision that is none — is left to `decodeFrame` and to the handler
 * of the request, which are the oracle in the tests.
 * Source: apache/rocketmq remoting/…/header/EndTransactionRequestHeader.java.
 */
import { RequestCode } from './codes.ts'
import { CommandFlag } from './command.ts'
import { beginsWithCode, HeaderScan, isText } from './header-scan.ts'
import { LastText } from './last-text.ts'
import { SysFlag } from './sys-flag.ts'

/** The fields without which nothing ends, a bit each. */
const Need = { producerGroup: 1, queueOffset: 2, physicalOffset: 4, decision: 8 } as const
const NEED_ALL = 15

const names = {
  producerGroup: Buffer.from('producerGroup'),
  commitLogOffset: Buffer.from('commitLogOffset'),
  commitOrRollback: Buffer.from('commitOrRollback'),
  fromTransactionCheck: Buffer.from('fromTransactionCheck'),
  tranStateTableOffset: Buffer.from('tranStateTableOffset'),
} as const
const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')

/** One object is made and reused; every field is set by each scan. */
export class EndRequest extends HeaderScan {
  producerGroup = ''
  /** Where the half lies: in the half queue, and in the log. */
  queueOffset = 0
  physicalOffset = 0
  decision: 'commit' | 'rollback' = 'rollback'
  /** An answer to a question of the broker's. */
  isAnswer = false
  readonly #group = new LastText()
  #seen = 0

  get isOneway(): boolean {
    return (this.frameFlag & CommandFlag.oneway) !== 0
  }

  /** Whether the frame may be one for `scan`: `{"code":37,` at its start. */
  static mayBe(bytes: Buffer, start: number, end: number): boolean {
    return (
      beginsWithCode(bytes, start, end) &&
      bytes[start + 16] === 0x33 &&
      bytes[start + 17] === 0x37 &&
      bytes[start + 18] === 0x2c
    )
  }

  /** False when the frame in bytes [start, end) is none in the plain form; fields are meaningless then. */
  scan(bytes: Buffer, start: number, end: number): boolean {
    this.#seen = 0
    this.isAnswer = false
    return (
      this.scanFrame(bytes, start, end) >= 0 &&
      this.code === RequestCode.END_TRANSACTION &&
      (this.frameFlag & CommandFlag.response) === 0 &&
      this.#seen === NEED_ALL
    )
  }

  protected override scanField(
    bytes: Buffer,
    end: number,
    nameStart: number,
    nameEnd: number,
  ): boolean {
    switch (nameEnd - nameStart) {
      case 13:
        if (isText(bytes, nameStart, nameEnd, names.producerGroup)) {
          return this.#scanGroup(bytes, end)
        }
        break
      case 15:
        if (isText(bytes, nameStart, nameEnd, names.commitLogOffset)) {
          if (!this.#scanOffset(bytes, end)) return false
          this.physicalOffset = this.value
          this.#seen |= Need.physicalOffset
          return true
        }
        break
      case 16:
        if (isText(bytes, nameStart, nameEnd, names.commitOrRollback)) {
          return this.#scanDecision(bytes, end)
        }
        break
      case 20:
        if (isText(bytes, nameStart, nameEnd, names.tranStateTableOffset)) {
          if (!this.#scanOffset(bytes, end)) return false
          this.queueOffset = this.value
          this.#seen |= Need.queueOffset
          return true
        }
        if (isText(bytes, nameStart, nameEnd, names.fromTransactionCheck)) {
          return this.#scanIsAnswer(bytes, end)
        }
        break
    }
    return this.skipText(bytes, end) >= 0
  }

  #scanGroup(bytes: Buffer, end: number): boolean {
    const start = this.at + 1
    const stop = this.skipText(bytes, end)
    if (stop <= start) return false
    this.producerGroup = this.#group.read(bytes, start, stop)
    this.#seen |= Need.producerGroup
    return true
  }

  #scanOffset(bytes: Buffer, end: number): boolean {
    return this.scanQuotedNumber(bytes, end) && this.value >= 0
  }

  #scanDecision(bytes: Buffer, end: number): boolean {
    if (!this.scanQuotedNumber(bytes, end)) return false
    if (this.value === SysFlag.transactionCommit) this.decision = 'commit'
    else if (this.value === SysFlag.transactionRollback) this.decision = 'rollback'
    else return false
    this.#seen |= Need.decision
    return true
  }

  #scanIsAnswer(bytes: Buffer, end: number): boolean {
    const start = this.at + 1
    const stop = this.skipText(bytes, end)
    this.isAnswer = isText(bytes, start, stop, TRUE)
    return this.isAnswer || isText(bytes, start, stop, FALSE)
  }
}
