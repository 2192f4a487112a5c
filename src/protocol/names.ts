/**
 * Which names topics and groups may have, and which topics belong to the system.
 * Source: apache/rocketmq common/…/topic/TopicValidator.java, client/…/Validators.java.
 *
 * The letters that are allowed exclude `.` and `/`, so a legal name never leads out of a directory.
 */
const TOPIC_LENGTH_MAX = 127
const RETRY_TOPIC_LENGTH_MAX = 255
const GROUP_LENGTH_MAX = 120
export const RETRY_PREFIX = '%RETRY%'
export const DLQ_PREFIX = '%DLQ%'
const SYSTEM_TOPIC_PREFIX = 'rmq_sys_'

export const SystemTopic = {
  autoCreate: 'TBW102',
  schedule: 'SCHEDULE_TOPIC_XXXX',
  benchmark: 'BenchmarkTest',
  transactionHalf: 'RMQ_SYS_TRANS_HALF_TOPIC',
  trace: 'RMQ_SYS_TRACE_TOPIC',
  transactionOp: 'RMQ_SYS_TRANS_OP_HALF_TOPIC',
  transactionCheckMax: 'TRANS_CHECK_MAX_TIME_TOPIC',
  selfTest: 'SELF_TEST_TOPIC',
  offsetMoved: 'OFFSET_MOVED_EVENT',
  checkpoint: 'CHECKPOINT_TOPIC',
  timer: 'rmq_sys_wheel_timer',
} as const

const systemTopics: ReadonlySet<string> = new Set<string>(Object.values(SystemTopic))

const closedTopics: ReadonlySet<string> = new Set<string>([
  SystemTopic.schedule,
  SystemTopic.transactionHalf,
  SystemTopic.transactionOp,
  SystemTopic.transactionCheckMax,
  SystemTopic.selfTest,
  SystemTopic.offsetMoved,
  SystemTopic.timer,
])

/** Consumer groups that a broker has from the start (SubscriptionGroupManager.init). */
export const systemGroups: readonly string[] = [
  'TOOLS_CONSUMER',
  'FILTERSRV_CONSUMER',
  'SELF_TEST_C_GROUP',
  'CID_ONS-HTTP-PROXY',
  'CID_ONSAPI_PULL',
  'CID_ONSAPI_PERMISSION',
  'CID_RMQ_SYS_TRANS',
]

const legalLetters = /^[%|a-zA-Z0-9_-]+$/
/** The newer retry topics of POP consumption have a plus between group and topic; only a broker makes them. */
const legalRetryLetters = /^[%|a-zA-Z0-9_+-]+$/

export function isRetryTopic(topic: string): boolean {
  return topic.startsWith(RETRY_PREFIX)
}

export function isDlqTopic(topic: string): boolean {
  return topic.startsWith(DLQ_PREFIX)
}

/** The topic from which a consumer group gets what it failed to consume. */
export function retryTopicOf(group: string): string {
  return RETRY_PREFIX + group
}

export function dlqTopicOf(group: string): string {
  return DLQ_PREFIX + group
}

function faultOfLetters(name: string, letters = legalLetters): string | null {
  if (name.trim() === '') return 'it is empty'
  if (!letters.test(name)) return 'only letters, digits, %, |, - and _ are allowed'
  return null
}

/** Says why a topic name is illegal at a broker; null when it is legal. */
export function faultOfTopic(topic: string): string | null {
  const fault = faultOfLetters(topic, isRetryTopic(topic) ? legalRetryLetters : legalLetters)
  if (fault !== null) return fault
  const max = isRetryTopic(topic) || isDlqTopic(topic) ? RETRY_TOPIC_LENGTH_MAX : TOPIC_LENGTH_MAX
  return topic.length > max ? `it has ${topic.length} characters, at most ${max} are allowed` : null
}

/** Says why a group name is illegal; null when it is legal. */
export function faultOfGroup(group: string): string | null {
  const fault = faultOfLetters(group)
  if (fault !== null) return fault
  return group.length > GROUP_LENGTH_MAX
    ? `it has ${group.length} characters, at most ${GROUP_LENGTH_MAX} are allowed`
    : null
}

/**
 * What a broker answers for an illegal topic name, in Apache's words, as tools print them; null when
 * it is legal. Source: apache/rocketmq common/…/topic/TopicValidator.java validateTopic().
 */
export function remarkOnTopic(topic: string): string | null {
  const letters = remarkOnLetters('topic', topic)
  if (letters !== null) return letters
  if (faultOfTopic(topic) === null) return null
  return isRetryTopic(topic) || isDlqTopic(topic)
    ? `The specified topic is DLQ or Retry topic: ${clip(topic)}, and it's longer than topic max length: ${RETRY_TOPIC_LENGTH_MAX}`
    : `The specified topic: ${clip(topic)}, is longer than topic max length: ${TOPIC_LENGTH_MAX}`
}

/** The same for the name of a group: TopicValidator.validateGroup(). */
export function remarkOnGroup(group: string): string | null {
  if (faultOfGroup(group) === null) return null
  return (
    remarkOnLetters('group', group) ??
    `The specified group: ${clip(group)}, is longer than group max length: ${GROUP_LENGTH_MAX}`
  )
}

function remarkOnLetters(kind: string, name: string): string | null {
  if (name.trim() === '') return `The specified ${kind} is blank.`
  if (legalLetters.test(name)) return null
  return `The specified ${kind}: ${clip(name)}, contains illegal characters, allowing only ${legalLetters.source}`
}

/** A remark repeats a name, but not a book. */
function clip(name: string): string {
  return name.slice(0, 300)
}

/** MSG_TYPE of what answers a request; its producer sends it by a request code of its own. */
export const REPLY_MESSAGE_TYPE = 'reply'

/** Topic through which the answers of a cluster's request-reply travel. */
export function replyTopicOf(clusterName: string): string {
  return `${clusterName}_REPLY_TOPIC`
}

/** Topics of RocketMQ itself. A broker adds those that it registered at its start. */
export function isSystemTopic(topic: string): boolean {
  return systemTopics.has(topic) || topic.startsWith(SYSTEM_TOPIC_PREFIX)
}

/** Topics that no client may send to; the broker answers NO_PERMISSION. */
export function isClosedToSend(topic: string): boolean {
  return closedTopics.has(topic)
}
