/**
 * GET_BROKER_RUNTIME_INFO: what a broker tells about itself, as text by key. The keys of Apache, and
 * under `mqctl.` what only this broker knows. A figure that does not exist here (thread pools, page
 * cache) is what it would be if nothing ever waited, because tools parse these as numbers.
 * Source: apache/rocketmq broker/…/processor/AdminBrokerProcessor.java prepareRuntimeInfo(),
 * store/…/StoreStatsService.java, tools/…/cluster/ClusterListSubCommand.java.
 */
import type { BrokerContext } from './context.ts'
import type { BrokerStats } from './stats.ts'

/** MQVersion.V5_3_3, the version that our commands carry. */
const VERSION_TEXT = 'V5_3_3'
const POOLS = ['send', 'pull', 'litePull', 'query', 'ack'] as const
const POOL_CAPACITY = 10_000

type Rate = Parameters<BrokerStats['rate']>[0]

export async function runtimeInfo(context: BrokerContext): Promise<Record<string, string>> {
  const { settings, store, stats, world } = context
  const earliest = await store.earliestStoreTime().catch(() => -1)
  const facts = store.facts()
  const nowMs = world.clock.wallMs()
  const { minPhysicalOffset, maxPhysicalOffset } = facts
  const diskRatio = Math.max(facts.diskUsedRatio, 0)
  const puts = stats.putTotals()
  const gets = stats.getTotals()
  const table: Record<string, string | number | boolean> = {
    brokerVersionDesc: VERSION_TEXT,
    brokerVersion: 479,
    brokerActive: facts.writable,
    bootTimestamp: Math.floor(stats.startedMs),
    runtime: runtimeText(nowMs - stats.startedMs),
    startAcceptSendRequestTimeStamp: 0,

    putMessageTimesTotal: stats.puts,
    putMessageFailedTimes: stats.putFailures,
    putMessageSizeTotal: stats.putBytes,
    putMessageAverageSize: stats.puts === 0 ? 0 : stats.putBytes / stats.puts,
    putMessageEntireTimeMax: Math.ceil(stats.putMsMax),
    putMessageDistributeTime: '',
    putLatency99: stats.putMsAt(0.99).toFixed(2),
    putLatency999: stats.putMsAt(0.999).toFixed(2),
    getMessageEntireTimeMax: Math.ceil(stats.getMsMax),
    putTps: rates(stats, 'puts'),
    getFoundTps: rates(stats, 'getFound'),
    getMissTps: rates(stats, 'getMiss'),
    getTotalTps: sumOfRates(stats, 'getFound', 'getMiss'),
    getTransferredTps: rates(stats, 'gets'),

    msgPutTotalYesterdayMorning: puts.yesterdayMorning,
    msgPutTotalTodayMorning: puts.todayMorning,
    msgPutTotalTodayNow: puts.now,
    msgGetTotalYesterdayMorning: gets.yesterdayMorning,
    msgGetTotalTodayMorning: gets.todayMorning,
    msgGetTotalTodayNow: gets.now,

    commitLogMinOffset: minPhysicalOffset,
    commitLogMaxOffset: maxPhysicalOffset,
    commitLogDiskRatio: diskRatio,
    [`commitLogDiskRatio_${facts.dir}/commitlog`]: diskRatio,
    consumeQueueDiskRatio: diskRatio,
    commitLogDirCapacity: `Total : ${gib(facts.diskTotalBytes)}, Free : ${gib(facts.diskFreeBytes)}.`,
    earliestMessageTimeStamp: earliest,
    dispatchMaxBuffer: 0,
    dispatchBehindBytes: facts.dispatchBehindBytes,
    remainHowManyDataToFlush: `${facts.flushBehindBytes} B`,
    remainTransientStoreBufferNumbs: 0,
    pageCacheLockTimeMills: 0,
    EndTransactionQueueSize: 0,
    EndTransactionThreadPoolQueueCapacity: POOL_CAPACITY,

    timerReadBehind: Math.floor(context.timers.lateMs / 1_000),
    timerOffsetBehind: context.timers.behind,
    timerCongestNum: 0,
    timerEnqueueTps: 0,
    timerDequeueTps: 0,
  }
  for (const pool of POOLS) {
    table[`${pool}ThreadPoolQueueSize`] = 0
    table[`${pool}ThreadPoolQueueCapacity`] = POOL_CAPACITY
    table[`${pool}ThreadPoolQueueHeadWaitTimeMills`] = 0
  }
  Object.assign(table, ownFigures(context, facts))
  const name = settings.brokerName
  table['mqctl.brokerName'] = name
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key, String(value)]))
}

function ownFigures(
  context: BrokerContext,
  facts: ReturnType<BrokerContext['store']['facts']>,
): Record<string, string | number | boolean> {
  const { settings, stats, topics, groups, clients, registration } = context
  const figures: Record<string, string | number | boolean> = {
    'mqctl.flush': facts.flush,
    'mqctl.state': facts.state,
    'mqctl.writable': facts.writable,
    'mqctl.namesrv': settings.namesrvAddresses.join(';'),
    'mqctl.namesrv.registered': registration.registeredWith().join(';'),
    'mqctl.topics': topics.size,
    'mqctl.groups': groups.size,
    'mqctl.clients': clients.connectionCount,
    'mqctl.queues': facts.queues,
    'mqctl.log.appendedBytes': facts.watermarks.appended,
    'mqctl.log.flushedBytes': facts.watermarks.flushed,
    'mqctl.log.confirmedBytes': facts.watermarks.confirmed,
    'mqctl.log.dispatchedBytes': facts.watermarks.dispatched,
    'mqctl.log.writes': facts.writes,
    'mqctl.log.writtenBytes': facts.writtenBytes,
    // Damaged places that recovery skipped, and records that could not be read since.
    'mqctl.log.badRecords': facts.recovery.badCount + facts.badRecords,
    // Position of the first of them that is known; -1 without any.
    'mqctl.log.firstBadOffset': facts.recovery.bad[0]?.physicalOffset ?? facts.firstBadOffset,
    // Deleted before their time, since the start, because the disk was nearly full.
    'mqctl.log.forcedSegments': facts.forced.segments,
    'mqctl.log.forcedBytes': facts.forced.bytes,
    'mqctl.log.forcedAt': facts.forced.lastMs,
    'mqctl.fsync.count': facts.flushes,
    'mqctl.fsync.totalMs': facts.flushMs.toFixed(2),
    'mqctl.fsync.maxMs': facts.flushMsMax.toFixed(2),
    'mqctl.disk.totalBytes': facts.diskTotalBytes,
    'mqctl.disk.freeBytes': facts.diskFreeBytes,
    'mqctl.put.bytes': stats.putBytes,
    'mqctl.get.bytes': stats.getBytes,
    'mqctl.recovery.clean': facts.recovery.clean,
  }
  const runtime = stats.runtime()
  if (runtime === null) return figures
  return {
    ...figures,
    'mqctl.pid': runtime.pid,
    'mqctl.rssBytes': runtime.rssBytes,
    'mqctl.heapUsedBytes': runtime.heapUsedBytes,
    'mqctl.cpu.userMs': runtime.cpuUserMs.toFixed(0),
    'mqctl.cpu.systemMs': runtime.cpuSystemMs.toFixed(0),
    'mqctl.gc.count': runtime.gcCount,
    'mqctl.gc.pauseMs': runtime.gcPauseMs.toFixed(2),
    'mqctl.eventLoop.p50Ms': runtime.eventLoopP50Ms.toFixed(2),
    'mqctl.eventLoop.p99Ms': runtime.eventLoopP99Ms.toFixed(2),
    'mqctl.eventLoop.maxMs': runtime.eventLoopMaxMs.toFixed(2),
  }
}

/** Over 10 s, 60 s and 600 s. */
function rates(stats: BrokerStats, kind: Rate): string {
  return [10, 60, 600].map((seconds) => stats.rate(kind, seconds).toFixed(2)).join(' ')
}

function sumOfRates(stats: BrokerStats, one: Rate, other: Rate): string {
  return [10, 60, 600]
    .map((seconds) => (stats.rate(one, seconds) + stats.rate(other, seconds)).toFixed(2))
    .join(' ')
}

/** `[ 0 days, 1 hours, 2 minutes, 3 seconds ]`, as Apache writes it. */
function runtimeText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const days = Math.floor(seconds / 86_400)
  const hours = Math.floor(seconds / 3_600) % 24
  const minutes = Math.floor(seconds / 60) % 60
  return `[ ${days} days, ${hours} hours, ${minutes} minutes, ${seconds % 60} seconds ]`
}

function gib(bytes: number): string {
  return `${(bytes / 1024 ** 3).toFixed(2)} GiB`
}
