/**
 * UPDATE_AND_CREATE_TOPIC (and the list of them), DELETE_TOPIC_IN_BROKER, GET_ALL_TOPIC_CONFIG,
 * GET_TOPIC_CONFIG, GET_SYSTEM_TOPIC_LIST_FROM_BROKER.
 * Source: apache/rocketmq broker/…/processor/AdminBrokerProcessor.java.
 */
import {
  decodeTopicConfigList,
  encodeTopicConfig,
  topicConfig,
} from '../../protocol/bodies/topic-config.ts'
import { encodeTopicList } from '../../protocol/bodies/topic-list.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import type { RequestHandler } from '../context.ts'
import { Refusal } from '../refusal.ts'
import { parseAttributes } from '../topic-rules.ts'
import {
  flagField,
  integerField,
  jsonField,
  optionalText,
  textField,
  topicField,
} from './fields.ts'

/** Topics in one UPDATE_AND_CREATE_TOPIC_LIST. */
const LIST_MAX = 1_000

export const updateTopic: RequestHandler = async (context, _connection, command) => {
  const config = topicConfig(textField(command, 'topic'), {
    readQueueNums: integerField(command, 'readQueueNums'),
    writeQueueNums: integerField(command, 'writeQueueNums'),
    perm: integerField(command, 'perm'),
    topicFilterType: optionalText(command, 'topicFilterType') ?? 'SINGLE_TAG',
    topicSysFlag:
      optionalText(command, 'topicSysFlag') === null ? 0 : integerField(command, 'topicSysFlag'),
    order: flagField(command, 'order'),
    attributes: parseAttributes(command.ext['attributes']),
  })
  await context.topics.update(config)
  return respond(command, ResponseCode.SUCCESS)
}

export const updateTopicList: RequestHandler = async (context, _connection, command) => {
  const configs = jsonField(command, decodeTopicConfigList)
  if (configs.length === 0 || configs.length > LIST_MAX) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `The list must have 1 to ${LIST_MAX} topics, not ${configs.length}`,
    )
  }
  await context.topics.updateAll(configs)
  return respond(command, ResponseCode.SUCCESS)
}

/** The topic, its messages, and the progress of all groups in it. Deleting what is not there is done. */
export const deleteTopic: RequestHandler = async (context, _connection, command) => {
  const name = topicField(command)
  if (context.topics.isSystem(name)) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `The topic[${name}] is conflict with system topic.`,
    )
  }
  await context.topics.delete(name, async () => {
    await context.store.deleteTopic(name)
    // Reports that came meanwhile go with it.
    context.offsets.forgetTopic(name)
    context.stats.forget(name)
    // Before the answer: a topic that is made again starts at 0, and groups must not be ahead of it.
    await context.offsets.save()
  })
  return respond(command, ResponseCode.SUCCESS)
}

/** Without totalTopicNum, so that clients take the answer for the whole. */
export const allTopicConfigs: RequestHandler = async (context, _connection, command) => {
  const body = Buffer.from(await context.topics.wrapperJson())
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

export const oneTopicConfig: RequestHandler = (context, _connection, command) => {
  const name = topicField(command)
  const topic = context.topics.get(name)
  if (topic === null) {
    return respond(command, ResponseCode.TOPIC_NOT_EXIST, `No topic in this broker. topic: ${name}`)
  }
  return respond(command, ResponseCode.SUCCESS, null, {}, encodeTopicConfig(topic.config))
}

export const systemTopicList: RequestHandler = (context, _connection, command) => {
  const topics = [...context.topics.names()].filter((name) => context.topics.isSystem(name))
  return respond(
    command,
    ResponseCode.SUCCESS,
    null,
    {},
    encodeTopicList({ topics, brokerAddr: null }),
  )
}
