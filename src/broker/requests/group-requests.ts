/**
 * UPDATE_AND_CREATE_SUBSCRIPTIONGROUP (and the list of them), GET_ALL_SUBSCRIPTIONGROUP_CONFIG,
 * GET_SUBSCRIPTIONGROUP_CONFIG, DELETE_SUBSCRIPTIONGROUP, UPDATE_AND_GET_GROUP_FORBIDDEN.
 * Source: apache/rocketmq broker/…/processor/AdminBrokerProcessor.java.
 */
import { listOf, parseBody } from '../../protocol/bodies/fields.ts'
import {
  type SubscriptionGroupConfig,
  decodeSubscriptionGroupConfig,
  encodeSubscriptionGroupConfig,
  subscriptionGroupConfigFromJson,
} from '../../protocol/bodies/subscription-group-config.ts'
import { ResponseCode } from '../../protocol/codes.ts'
import { respond } from '../../protocol/command.ts'
import { jsonBody } from '../../protocol/lenient-json.ts'
import type { RequestHandler } from '../context.ts'
import { Refusal } from '../refusal.ts'
import { flagField, groupField, jsonField, optionalText, topicField } from './fields.ts'

/** Groups in one UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST. */
const LIST_MAX = 1_000

export const updateGroup: RequestHandler = async (context, _connection, command) => {
  await context.groups.updateAll([jsonField(command, decodeSubscriptionGroupConfig)])
  return respond(command, ResponseCode.SUCCESS)
}

function decodeGroupList(body: Buffer | null): SubscriptionGroupConfig[] {
  const object = parseBody(body)
  const list = object['groupConfigList'] ?? object['subscriptionGroupConfigList']
  return listOf(list).map((value) => subscriptionGroupConfigFromJson(value))
}

export const updateGroupList: RequestHandler = async (context, _connection, command) => {
  const configs = jsonField(command, decodeGroupList)
  if (configs.length === 0 || configs.length > LIST_MAX) {
    throw new Refusal(
      ResponseCode.INVALID_PARAMETER,
      `The list must have 1 to ${LIST_MAX} groups, not ${configs.length}`,
    )
  }
  await context.groups.updateAll(configs)
  return respond(command, ResponseCode.SUCCESS)
}

/** Without totalGroupNum, so that clients take the answer for the whole. */
export const allGroupConfigs: RequestHandler = async (context, _connection, command) => {
  const body = Buffer.from(await context.groups.tableJson())
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}

/** Asking for a group makes it, as Apache does, when groups are made by themselves. */
export const oneGroupConfig: RequestHandler = (context, _connection, command) => {
  const config = context.groups.findOrCreate(groupField(command, 'group'))
  return respond(command, ResponseCode.SUCCESS, null, {}, encodeSubscriptionGroupConfig(config))
}

/** Deleting what is not there is done. `cleanOffset` forgets the group's progress as well. */
export const deleteGroup: RequestHandler = async (context, _connection, command) => {
  const group = groupField(command, 'groupName')
  await context.groups.delete(group)
  if (flagField(command, 'cleanOffset')) {
    context.offsets.forgetGroup(group)
    context.stats.forget(group)
    await context.offsets.save()
  }
  return respond(command, ResponseCode.SUCCESS)
}

/** Says whether a group may read a topic; with `readable` it sets that first. */
export const groupForbidden: RequestHandler = async (context, _connection, command) => {
  const group = groupField(command, 'group')
  const topic = topicField(command)
  if (context.topics.get(topic) === null) {
    throw new Refusal(ResponseCode.TOPIC_NOT_EXIST, `the topic[${topic}] not exist`)
  }
  if (optionalText(command, 'readable') !== null) {
    if (context.groups.get(group) === null) {
      throw new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `the group[${group}] not exist`)
    }
    await context.groups.setMayRead(group, topic, flagField(command, 'readable'))
  }
  const body = jsonBody({ group, readable: context.groups.mayRead(group, topic), topic })
  return respond(command, ResponseCode.SUCCESS, null, {}, body)
}
