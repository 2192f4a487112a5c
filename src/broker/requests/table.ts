/**
 * Every request but sends and pulls, and who answers it. A code that is not here is refused by the
 * dispatcher with REQUEST_CODE_NOT_SUPPORTED.
 */
import { RequestCode } from '../../protocol/codes.ts'
import type { RequestHandler } from '../context.ts'
import { ackMessage, batchAckMessage, changeInvisibleTime } from './ack-requests.ts'
import { allRequestModes, queryAssignment, setRequestMode } from './assignment-requests.ts'
import { cleanUnusedTopics, deleteExpired } from './cleaning.ts'
import { checkClientConfig, consumerList, heartBeat, unregisterClient } from './client-requests.ts'
import {
  brokerConfig,
  brokerRuntimeInfo,
  statsData,
  updateBrokerConfig,
} from './config-requests.ts'
import { allProducers, consumerConnections, producerConnections } from './connection-lists.ts'
import { brokerConsumeStats, consumeStats, consumeTimeSpan, topicStats } from './consume-stats.ts'
import { consumeDirectly, consumerRunningInfo, consumerStatus } from './forwarding.ts'
import {
  allGroupConfigs,
  deleteGroup,
  groupForbidden,
  oneGroupConfig,
  updateGroup,
  updateGroupList,
} from './group-requests.ts'
import { haStatus } from './ha-status.ts'
import { endTransaction } from './end-transaction.ts'
import {
  earliestStoreTime,
  queryMessage,
  queryQueue,
  searchOffset,
  viewMessage,
} from './message-requests.ts'
import { accessControl, followers, staticTopics } from './not-built.ts'
import { recall } from './recall.ts'
import { lockQueues, unlockQueues } from './lock-requests.ts'
import { maxOffset, minOffset, queryOffset, updateOffset } from './offset-requests.ts'
import { notification, peekMessage, pollingInfo, popMessage } from './pop-requests.ts'
import { cloneOffsets, resetOffset } from './reset-requests.ts'
import { sendBack } from './send-back.ts'
import { sendReply } from './send-reply.ts'
import {
  allTopicConfigs,
  deleteTopic,
  oneTopicConfig,
  systemTopicList,
  updateTopic,
  updateTopicList,
} from './topic-requests.ts'
import {
  allConsumerOffsets,
  allDelayOffsets,
  groupsOfTopic,
  subscriptionByGroup,
  topicsByGroup,
} from './who-consumes.ts'

export const requestTable: ReadonlyMap<number, RequestHandler> = new Map<number, RequestHandler>([
  [RequestCode.QUERY_MESSAGE, queryMessage],
  [RequestCode.QUERY_CONSUMER_OFFSET, queryOffset],
  [RequestCode.UPDATE_CONSUMER_OFFSET, updateOffset],
  [RequestCode.UPDATE_AND_CREATE_TOPIC, updateTopic],
  [RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, updateTopicList],
  [RequestCode.GET_ALL_TOPIC_CONFIG, allTopicConfigs],
  [RequestCode.UPDATE_BROKER_CONFIG, updateBrokerConfig],
  [RequestCode.GET_BROKER_CONFIG, brokerConfig],
  [RequestCode.GET_BROKER_RUNTIME_INFO, brokerRuntimeInfo],
  [RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, searchOffset],
  [RequestCode.GET_MAX_OFFSET, maxOffset],
  [RequestCode.GET_MIN_OFFSET, minOffset],
  [RequestCode.GET_EARLIEST_MSG_STORETIME, earliestStoreTime],
  [RequestCode.VIEW_MESSAGE_BY_ID, viewMessage],
  [RequestCode.HEART_BEAT, heartBeat],
  [RequestCode.UNREGISTER_CLIENT, unregisterClient],
  [RequestCode.CONSUMER_SEND_MSG_BACK, sendBack],
  [RequestCode.END_TRANSACTION, endTransaction],
  [RequestCode.GET_CONSUMER_LIST_BY_GROUP, consumerList],
  [RequestCode.LOCK_BATCH_MQ, lockQueues],
  [RequestCode.UNLOCK_BATCH_MQ, unlockQueues],
  [RequestCode.GET_ALL_CONSUMER_OFFSET, allConsumerOffsets],
  [RequestCode.GET_ALL_DELAY_OFFSET, allDelayOffsets],
  [RequestCode.CHECK_CLIENT_CONFIG, checkClientConfig],
  [RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, updateGroup],
  [RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, updateGroupList],
  [RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, allGroupConfigs],
  [RequestCode.GET_TOPIC_STATS_INFO, topicStats],
  [RequestCode.GET_CONSUMER_CONNECTION_LIST, consumerConnections],
  [RequestCode.GET_PRODUCER_CONNECTION_LIST, producerConnections],
  [RequestCode.DELETE_SUBSCRIPTIONGROUP, deleteGroup],
  [RequestCode.GET_CONSUME_STATS, consumeStats],
  [RequestCode.DELETE_TOPIC_IN_BROKER, deleteTopic],
  [RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, resetOffset],
  [RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, consumerStatus],
  [RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, groupsOfTopic],
  [RequestCode.QUERY_CONSUME_TIME_SPAN, consumeTimeSpan],
  [RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER, systemTopicList],
  [RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE, deleteExpired],
  [RequestCode.GET_CONSUMER_RUNNING_INFO, consumerRunningInfo],
  [RequestCode.CONSUME_MESSAGE_DIRECTLY, consumeDirectly],
  [RequestCode.CLONE_GROUP_OFFSET, cloneOffsets],
  [RequestCode.VIEW_BROKER_STATS_DATA, statsData],
  [RequestCode.CLEAN_UNUSED_TOPIC, cleanUnusedTopics],
  [RequestCode.GET_BROKER_CONSUME_STATS, brokerConsumeStats],
  [RequestCode.QUERY_CONSUME_QUEUE, queryQueue],
  [RequestCode.GET_ALL_PRODUCER_INFO, allProducers],
  [RequestCode.DELETE_EXPIRED_COMMITLOG, deleteExpired],
  [RequestCode.QUERY_TOPICS_BY_CONSUMER, topicsByGroup],
  [RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER, subscriptionByGroup],
  [RequestCode.GET_TOPIC_CONFIG, oneTopicConfig],
  [RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, oneGroupConfig],
  [RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, groupForbidden],
  [RequestCode.SET_MESSAGE_REQUEST_MODE, setRequestMode],
  [RequestCode.GET_BROKER_HA_STATUS, haStatus],

  [RequestCode.SEND_REPLY_MESSAGE, sendReply],
  [RequestCode.SEND_REPLY_MESSAGE_V2, sendReply],
  [RequestCode.RECALL_MESSAGE, recall],
  [RequestCode.QUERY_ASSIGNMENT, queryAssignment],
  [RequestCode.GET_ALL_MESSAGE_REQUEST_MODE, allRequestModes],
  [RequestCode.POP_MESSAGE, popMessage],
  [RequestCode.ACK_MESSAGE, ackMessage],
  [RequestCode.BATCH_ACK_MESSAGE, batchAckMessage],
  [RequestCode.PEEK_MESSAGE, peekMessage],
  [RequestCode.CHANGE_MESSAGE_INVISIBLETIME, changeInvisibleTime],
  [RequestCode.NOTIFICATION, notification],
  [RequestCode.POLLING_INFO, pollingInfo],
  [RequestCode.UPDATE_AND_CREATE_STATIC_TOPIC, staticTopics],
  [RequestCode.EXCHANGE_BROKER_HA_INFO, followers],
  [RequestCode.AUTH_CREATE_USER, accessControl],
  [RequestCode.AUTH_UPDATE_USER, accessControl],
  [RequestCode.AUTH_DELETE_USER, accessControl],
  [RequestCode.AUTH_GET_USER, accessControl],
  [RequestCode.AUTH_LIST_USER, accessControl],
  [RequestCode.AUTH_CREATE_ACL, accessControl],
  [RequestCode.AUTH_UPDATE_ACL, accessControl],
  [RequestCode.AUTH_DELETE_ACL, accessControl],
  [RequestCode.AUTH_GET_ACL, accessControl],
  [RequestCode.AUTH_LIST_ACL, accessControl],
])
