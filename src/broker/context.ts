/** What request handlers get: the broker's parts, made once at start. */
import type { Logger } from '../base/logger.ts'
import type { Command } from '../protocol/command.ts'
import type { Connection } from '../remoting/connection.ts'
import type { Store } from '../store/store.ts'
import type { World } from '../world/world.ts'
import type { ClientRegistry } from './clients.ts'
import type { Confirmations } from './confirmations.ts'
import type { ConsumerFilters } from './consumer-filters.ts'
import type { ConsumerOffsets } from './consumer-offsets.ts'
import type { DelayedDelivery } from './delay/delayed-delivery.ts'
import type { GroupTable } from './groups.ts'
import type { QueueLocks } from './locks.ts'
import type { BrokerSettings } from './options.ts'
import type { ConsumerOrder } from './pop/consumer-order.ts'
import type { Pops } from './pop/pops.ts'
import type { RequestModes } from './pop/request-modes.ts'
import type { ReviveLog } from './pop/revive-log.ts'
import type { Reviver } from './pop/reviver.ts'
import type { RepliesUnderWay } from './replies-under-way.ts'
import type { Registration } from './registration.ts'
import type { RouteView } from './route-view.ts'
import type { BrokerStats } from './stats.ts'
import type { Timers } from './timer/timers.ts'
import type { TopicTable } from './topics.ts'
import type { Checker } from './transactions/checker.ts'
import type { Transactions } from './transactions/transactions.ts'

export interface BrokerContext {
  readonly world: World
  readonly settings: BrokerSettings
  readonly store: Store
  readonly topics: TopicTable
  readonly groups: GroupTable
  readonly offsets: ConsumerOffsets
  readonly filters: ConsumerFilters
  readonly delay: DelayedDelivery
  readonly timers: Timers
  readonly locks: QueueLocks
  readonly transactions: Transactions
  readonly checker: Checker
  readonly confirmations: Confirmations
  readonly order: ConsumerOrder
  readonly reviveLog: ReviveLog
  readonly pops: Pops
  readonly reviver: Reviver
  readonly requestModes: RequestModes
  readonly replies: RepliesUnderWay
  readonly routes: RouteView
  readonly clients: ClientRegistry
  readonly registration: Registration
  readonly stats: BrokerStats
  readonly logger: Logger
}

/** Answers one request; null when there is nothing to answer, or when it is answered later by itself. */
export type RequestHandler = (
  context: BrokerContext,
  connection: Connection,
  command: Command,
) => Command | null | Promise<Command | null>
