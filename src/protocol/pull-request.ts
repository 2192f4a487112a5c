/**
 * A pull as the broker's hot path reads it: the JSON header of PULL_MESSAGE in the plain form that
 * clients write, scanned byte by byte. A consumer that catches up pulls ten thousand times a second
 * with the same names, so these are compared with the last ones before a string is made of them.
 * Everything else — other codes, white space, escapes, the binary header, a field that is missing —
 * is left to `decodeFrame` and `readPullHeader`, which are the oracle in the tests.
 */
import { RequestCode } from './codes.ts'
import { CommandFlag } from './command.ts'
import { beginsWithCode, HeaderScan, isText } from './header-scan.ts'
import { LastText } from './last-text.ts'
import type { PullHeader } from './pull-header.ts'

/** The fields without which there is no pull, a bit each. */
const Need = {
  consumerGroup: 1,
  topic: 2,
  queueId: 4,
  queueOffset: 8,
  maxMsgNums: 16,
  sysFlag: 32,
  commitOffset: 64,
  suspendTimeoutMillis: 128,
  subVersion: 256,
} as const
const NEED_ALL = 511

const names = {
  consumerGroup: Buffer.from('consumerGroup'),
  topic: Buffer.from('topic'),
  queueId: Buffer.from('queueId'),
  queueOffset: Buffer.from('queueOffset'),
  maxMsgNums: Buffer.from('maxMsgNums'),
  sysFlag: Buffer.from('sysFlag'),
  commitOffset: Buffer.from('commitOffset'),
  suspendTimeoutMillis: Buffer.from('suspendTimeoutMillis'),
  subscription: Buffer.from('subscription'),
  subVersion: Buffer.from('subVersion'),
  expressionType: Buffer.from('expressionType'),
  maxMsgBytes: Buffer.from('maxMsgBytes'),
} as const

/** One object is made and reused. */
export class PullRequest extends HeaderScan {
  readonly #group = new LastText()
  readonly #topic = new LastText()
  readonly #subscriptions = new LastText()
  readonly #types = new LastText()
  #seen = 0
  #consumerGroup = ''
  #topicName = ''
  #queueId = 0
  #queueOffset = 0
  #maxMsgNums = 0
  #sysFlag = 0
  #commitOffset = 0
  #suspendTimeoutMs = 0
  #subscription: string | null = null
  #subVersion = 0
  #expressionType: string | null = null
  #maxMsgBytes: number | null = null

  /** Whether the frame may be one for `scan`: `{"code":11,` at its start. */
  static mayBe(bytes: Buffer, start: number, end: number): boolean {
    return (
      beginsWithCode(bytes, start, end) &&
      bytes[start + 16] === 0x31 &&
      bytes[start + 17] === 0x31 &&
      bytes[start + 18] === 0x2c
    )
  }

  /**
   * The header of the pull in bytes [start, end), with `opaque` set; null when it is none in the
   * plain form. The frame reader has checked the lengths.
   */
  scan(bytes: Buffer, start: number, end: number): PullHeader | null {
    this.#seen = 0
    this.#subscription = this.#expressionType = this.#maxMsgBytes = null
    if (this.scanFrame(bytes, start, end) < 0) return null
    if (this.code !== RequestCode.PULL_MESSAGE || this.#seen !== NEED_ALL) return null
    if ((this.frameFlag & CommandFlag.response) !== 0) return null
    return {
      consumerGroup: this.#consumerGroup,
      topic: this.#topicName,
      queueId: this.#queueId,
      queueOffset: this.#queueOffset,
      maxMsgNums: this.#maxMsgNums,
      sysFlag: this.#sysFlag,
      commitOffset: this.#commitOffset,
      suspendTimeoutMs: this.#suspendTimeoutMs,
      subscription: this.#subscription,
      subVersion: this.#subVersion,
      expressionType: this.#expressionType,
      maxMsgBytes: this.#maxMsgBytes,
    }
  }

  protected override scanField(
    bytes: Buffer,
    end: number,
    nameStart: number,
    nameEnd: number,
  ): boolean {
    switch (nameEnd - nameStart) {
      case 5:
        if (isText(bytes, nameStart, nameEnd, names.topic)) {
          const start = this.at + 1
          const stop = this.skipText(bytes, end)
          if (stop < 0) return false
          this.#topicName = this.#topic.read(bytes, start, stop)
          this.#seen |= Need.topic
          return true
        }
        break
      case 7:
        if (isText(bytes, nameStart, nameEnd, names.queueId)) {
          if (!this.scanQuotedNumber(bytes, end)) return false
          this.#queueId = this.value
          this.#seen |= Need.queueId
          return true
        }
        if (isText(bytes, nameStart, nameEnd, names.sysFlag)) {
          if (!this.scanQuotedNumber(bytes, end)) return false
          this.#sysFlag = this.value
          this.#seen |= Need.sysFlag
          return true
        }
        break
      case 10:
        if (isText(bytes, nameStart, nameEnd, names.maxMsgNums)) {
          if (!this.scanQuotedNumber(bytes, end)) return false
          this.#maxMsgNums = this.value
          this.#seen |= Need.maxMsgNums
          return true
        }
        if (isText(bytes, nameStart, nameEnd, names.subVersion)) {
          if (!this.scanQuotedNumber(bytes, end)) return false
          this.#subVersion = this.value
          this.#seen |= Need.subVersion
          return true
        }
        break
      case 11:
        if (isText(bytes, nameStart, nameEnd, names.queueOffset)) {
          if (!this.scanQuotedNumber(bytes, end)) return false
          this.#queueOffset = this.value
          this.#seen |= Need.queueOffset
          return true
        }
        if (isText(bytes, nameStart, nameEnd, names.maxMsgBytes)) {
          if (!this.scanQuotedNumber(bytes, end)) return false
          this.#maxMsgBytes = this.value
          return true
        }
        break
      case 12:
        if (isText(bytes, nameStart, nameEnd, names.commitOffset)) {
          if (!this.scanQuotedNumber(bytes, end)) return false
          this.#commitOffset = this.value
          this.#seen |= Need.commitOffset
          return true
        }
        if (isText(bytes, nameStart, nameEnd, names.subscription)) {
          const start = this.at + 1
          const stop = this.skipText(bytes, end)
          if (stop < 0) return false
          this.#subscription = this.#subscriptions.read(bytes, start, stop)
          return true
        }
        break
      case 13:
        if (isText(bytes, nameStart, nameEnd, names.consumerGroup)) {
          const start = this.at + 1
          const stop = this.skipText(bytes, end)
          if (stop < 0) return false
          this.#consumerGroup = this.#group.read(bytes, start, stop)
          this.#seen |= Need.consumerGroup
          return true
        }
        break
      case 14:
        if (isText(bytes, nameStart, nameEnd, names.expressionType)) {
          const start = this.at + 1
          const stop = this.skipText(bytes, end)
          if (stop < 0) return false
          this.#expressionType = this.#types.read(bytes, start, stop)
          return true
        }
        break
      case 20:
        if (isText(bytes, nameStart, nameEnd, names.suspendTimeoutMillis)) {
          if (!this.scanQuotedNumber(bytes, end)) return false
          this.#suspendTimeoutMs = this.value
          this.#seen |= Need.suspendTimeoutMillis
          return true
        }
        break
    }
    return this.skipText(bytes, end) >= 0
  }
}
