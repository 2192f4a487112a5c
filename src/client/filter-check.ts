/**
 * Asks a broker whether it can use a filter before a consumer relies on it.
 * Source: apache/rocketmq client/…/impl/factory/MQClientInstance.java (checkClientInBroker).
 */
import {
  type SubscriptionData,
  subscriptionDataToJson,
} from '../protocol/bodies/subscription-data.ts'
import { RequestCode } from '../protocol/codes.ts'
import type { MqClient } from './client.ts'
import type { TopicRoute } from './routes.ts'

/** Nothing is asked about tags, which every broker knows. Throws what the broker answers. */
export async function checkFilter(
  client: MqClient,
  group: string,
  subscription: SubscriptionData,
  route: TopicRoute,
): Promise<void> {
  const [queue] = route.subscribeQueues
  if (subscription.expressionType === 'TAG' || queue === undefined) return
  const body = {
    clientId: client.clientId,
    group,
    namespace: '',
    subscriptionData: subscriptionDataToJson(subscription),
  }
  await client.ask(
    client.masterOf(queue.brokerName),
    RequestCode.CHECK_CLIENT_CONFIG,
    {},
    Buffer.from(JSON.stringify(body), 'utf8'),
    { topic: subscription.topic, group },
  )
}
