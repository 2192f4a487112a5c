/**
 * Administration of any RocketMQ cluster, by subject: `admin.topics.create(…)`,
 * `admin.groups.lag(…)`, `admin.messages.get(…)`, `admin.brokers.list()`.
 */
import type { World } from '../world/world.ts'
import { BrokerAdmin } from './broker-admin.ts'
import { type ClientOptions, MqClient } from './client.ts'
import { ClusterView } from './cluster-view.ts'
import { GroupAdmin } from './group-admin.ts'
import { MessageAdmin } from './message-admin.ts'
import { ProgressAdmin } from './progress-admin.ts'
import { QueueAccess } from './queue-access.ts'
import { TopicAdmin } from './topic-admin.ts'
import { TraceAdmin } from './trace-admin.ts'
import { TransactionAdmin } from './transaction-admin.ts'

export class Admin {
  readonly client: MqClient
  readonly cluster: ClusterView
  readonly topics: TopicAdmin
  readonly groups: GroupAdmin
  readonly progress: ProgressAdmin
  readonly messages: MessageAdmin
  readonly traces: TraceAdmin
  readonly brokers: BrokerAdmin
  readonly queues: QueueAccess
  readonly transactions: TransactionAdmin

  private constructor(client: MqClient) {
    this.client = client
    this.cluster = new ClusterView(client)
    this.queues = new QueueAccess(client)
    this.topics = new TopicAdmin(client, this.cluster)
    this.groups = new GroupAdmin(client, this.cluster, this.topics, this.queues)
    this.messages = new MessageAdmin(client, this.cluster, this.topics, this.queues)
    this.traces = new TraceAdmin(this.messages)
    this.transactions = new TransactionAdmin(client, this.queues)
    this.brokers = new BrokerAdmin(client, this.cluster)
    this.progress = new ProgressAdmin(client, this)
  }

  /** Connects when something is asked. */
  static open(world: World, options: ClientOptions): Admin {
    return new Admin(new MqClient(world, options))
  }

  close(): void {
    this.client.close()
  }
}
