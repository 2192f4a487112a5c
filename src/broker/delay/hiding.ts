/**
 * Where a message goes first that is not to be delivered at once: into the queue of its delay level, or
 * into the timer topic. A level counts before a time.
 * Source: apache/rocketmq broker/…/util/HookUtils.java (handleScheduleMessage).
 */
import { ResponseCode } from '../../protocol/codes.ts'
import type { AppendRequest } from '../../store/append.ts'
import type { Queue } from '../../store/queue.ts'
import { Refusal } from '../refusal.ts'
import { checkTimed, hideTimed, type TimerRules } from '../timer/timed-message.ts'
import { delayLevelIn, hide } from './delayed-message.ts'

export interface HidingRules {
  readonly timerWheelEnable: boolean
  readonly timerMaxDelaySec: number
  readonly delayLevelMax: number
}

/**
 * Whether what the properties ask for can be, for a message that will be hidden later: the half of a
 * transaction, which waits once it is committed. Throws a Refusal when it cannot.
 */
export function checkHiding(append: AppendRequest, settings: HidingRules, nowMs: number): void {
  if (levelOf(append, settings) === 0 && append.scan.timer) {
    checkTimed(append, timerRules(settings, nowMs))
  }
}

/**
 * Turns a request for its own queue into one for the queue in which it waits, if its properties ask for
 * that. Returns the second in which it is due, ms since 1970, for a time of its own; null for a level,
 * and when it does not wait. Throws a Refusal when they ask for what cannot be.
 * @param openQueue gives the store's handle of a queue
 */
export function hideUntilDue(
  append: AppendRequest,
  settings: HidingRules,
  nowMs: number,
  openQueue: (topic: string, queueId: number) => Queue,
): number | null {
  const level = levelOf(append, settings)
  if (level > 0) {
    hide(append, level, openQueue)
    return null
  }
  if (!append.scan.timer) return null
  return hideTimed(append, timerRules(settings, nowMs), openQueue)
}

/** 0: none. Throws a Refusal. */
function levelOf(append: AppendRequest, settings: HidingRules): number {
  const level = delayLevelIn(append, settings.delayLevelMax)
  if (level !== null) return level
  throw new Refusal(
    ResponseCode.MESSAGE_ILLEGAL,
    'the delay level of the message is not a whole number',
  )
}

function timerRules(
  { timerWheelEnable, timerMaxDelaySec }: HidingRules,
  nowMs: number,
): TimerRules {
  return { nowMs, timerWheelEnable, timerMaxDelayMs: timerMaxDelaySec * 1_000 }
}
