/**
 * Apache's own mqadmin on our cluster and on Apache's, the same verbs with the same arguments after
 * the same sends, side by side: what it prints must be the same once addresses, ids, times and rates
 * are taken out. Where the two cannot be equal (which system topics there are, which settings a
 * broker has), the lines that must be there are named.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  apacheClassPath,
  type Cluster,
  JavaPeer,
  type Received,
  type Sent,
  skipBecause,
  startApache,
  until,
} from './peers.ts'
import { startTarget, targetKind } from './target.ts'

const peers = await apacheClassPath()

/** A cluster with one topic, eight messages, a producer, and a consumer that has read them. */
interface Scene {
  readonly cluster: Cluster
  readonly java: JavaPeer
  readonly sent: Sent[]
  readonly clientId: string
}

const topic = 'Orders'

async function setScene(cluster: Cluster, classPath: string): Promise<Scene> {
  const java = await JavaPeer.start(classPath)
  const { namesrv, brokerAddress } = cluster
  await java.mqadmin(
    'updateTopic',
    '-n',
    namesrv,
    '-b',
    brokerAddress,
    '-t',
    topic,
    '-r',
    '4',
    '-w',
    '4',
  )
  await java.mqadmin('updateSubGroup', '-n', namesrv, '-b', brokerAddress, '-g', 'CG')
  await java.call('producer.start', { name: 'producer', group: 'PG', namesrv })
  const sent: Sent[] = []
  for (let queueId = 0; queueId < 4; queueId++) {
    const messages = ['even', 'odd'].map((tags, i) => ({
      body: `body ${queueId}.${i}`,
      tags,
      keys: `k${queueId} all`,
    }))
    sent.push(
      ...(await java.call<Sent[]>('producer.send', {
        name: 'producer',
        topic,
        mode: 'sync',
        queueId,
        broker: cluster.brokerName,
        messages,
      })),
    )
  }
  const clientId = await java.call<string>('push.start', {
    name: 'consumer',
    group: 'CG',
    topic,
    namesrv,
    from: 'CONSUME_FROM_FIRST_OFFSET',
  })
  await java.call<Received[]>('push.received', { name: 'consumer', atLeast: 8 })
  // Progress is reported once the listener has returned, a moment after the last message came.
  await until('progress of the group', async () => {
    await java.call('push.persist', { name: 'consumer' })
    const { totalDiff } = await java.call<{ totalDiff: number }>('admin.consumeStats', {
      namesrv,
      group: 'CG',
    })
    return totalDiff === 0 ? true : null
  })
  return { cluster, java, sent, clientId }
}

/** What two runs never share, replaced by words. */
function normalised(scene: Scene, text: string): string[] {
  const { cluster } = scene
  return text
    .replaceAll(cluster.brokerAddress, 'BROKER')
    .replaceAll(cluster.namesrv, 'NAMESRV')
    .replace(/127\.0\.0\.1:\d+/g, 'PEER')
    .replace(/\b(?:[0-9A-F]{56}|[0-9A-F]{32})\b/g, 'ID')
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:[,.]\d+)?/g, 'TIME')
    .replace(/\b\d{13}\b/g, 'MILLIS')
    .replace(/\b\d+\.\d+\b/g, 'RATE')
    .replace(/\bV\d_\d+_\d+\b/g, 'VERSION')
    .replace(/version=\d+/g, 'version=N')
    .replace(/\brt=\d+ms/g, 'rt=Nms')
    .replace(/@[0-9a-f]{6,8}\b/g, '@HASH')
    .replace(/(storeSize|commitLogOffset|physicOffset|physicSize|sysFlag|bodyCRC)=\d+/g, '$1=N')
    .replace(/^(CommitLog Offset:).*$/gm, '$1 N')
    .replace(/(ID)@\d+/g, '$1@N')
    .replace(/\d+-\d+\((?:RATE|\d)/g, 'N-N(RATE')
    .replace(/(?:MSG_REGION|CLUSTER|TRACE_ON|MIN_OFFSET|MAX_OFFSET)=[^,}]*(?:, )?/g, '')
    .replace(/, }/g, '}')
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .filter((line) => line !== '' && !line.includes('|-') && !/bestPractice/.test(line))
    .filter((line) => !untouchedRetry.test(line))
}

/**
 * The row of a group's own retry topic in which nothing ever was. Apache has it once the group's
 * first pull of it has come back, 15 s after its start; here it is there from the start.
 */
const untouchedRetry = /^%RETRY%CG broker-a 0 0 0 (?:[\d.]+ )?0 0 N\/A$/

/** Map order is nobody's promise: lines are compared as a set, and so are properties within one. */
function comparable(lines: readonly string[]): string[] {
  return lines
    .map((line) =>
      line.replace(
        /\{([^{}]*)\}/g,
        (_, inside: string) => `{${inside.split(', ').sort().join(', ')}}`,
      ),
    )
    .sort()
}

type Arguments = (scene: Scene) => string[]

interface Verb {
  readonly args: Arguments
  /** Only these lines are compared; all of them by default. */
  readonly lines?: RegExp
  /** Leave these out, whoever prints them. */
  readonly without?: RegExp
  /** Lines that need not be equal but must match, on both. */
  readonly expects?: readonly RegExp[]
  /** Figures that Apache takes every ten seconds: asked again until both have what is expected. */
  readonly sampled?: boolean
}

const third = (scene: Scene): Sent => {
  const sent = scene.sent[3]
  if (!sent) throw new Error('nothing sent')
  return sent
}

const broker: Arguments = (scene) => ['-b', scene.cluster.brokerAddress]
const ofTopic: Arguments = () => ['-t', topic]
const ofGroup: Arguments = () => ['-g', 'CG']

/** Verbs that change nothing: they run side by side. */
const looks: Record<string, Verb> = {
  topicList: { args: () => [], lines: /^(Orders|TBW102|broker-a|DefaultCluster)$/ },
  topicRoute: { args: ofTopic },
  'topicRoute of an unknown topic': { args: () => ['-t', 'NoSuchTopic'] },
  topicStatus: { args: ofTopic },
  topicClusterList: { args: ofTopic },
  allocateMQ: { args: () => ['-t', topic, '-i', '10.0.0.1,10.0.0.2'] },
  consumerProgress: {
    args: () => [],
    lines: /^#Group/,
    expects: [/^CG 1 VERSION PUSH CLUSTERING \d+ 0$/],
  },
  'consumerProgress -g': { args: ofGroup },
  'consumerProgress -g -s': { args: () => ['-g', 'CG', '-s', 'true'] },
  consumerConnection: { args: ofGroup },
  'consumerConnection of an offline group': { args: () => ['-g', 'NoSuchGroup'] },
  consumerStatus: { args: ofGroup },
  producerConnection: { args: () => ['-g', 'PG', '-t', topic] },
  producer: { args: broker, lines: /\(PG\)/ },
  getConsumerConfig: { args: ofGroup },
  queryMsgById: { args: (scene) => ['-t', topic, '-i', third(scene).offsetMessageId] },
  queryMsgByKey: { args: () => ['-t', topic, '-k', 'k1'] },
  queryMsgByUniqueKey: { args: (scene) => ['-t', topic, '-i', third(scene).messageId] },
  queryMsgByOffset: { args: () => ['-t', topic, '-b', 'broker-a', '-i', '1', '-o', '1'] },
  queryMsgTraceById: { args: (scene) => ['-i', third(scene).messageId], without: /^See|^For/ },
  consumeMessage: { args: () => ['-t', topic, '-b', 'broker-a', '-i', '1', '-o', '1', '-c', '1'] },
  printMsg: { args: ofTopic },
  printMsgByQueue: { args: () => ['-t', topic, '-a', 'broker-a', '-i', '1', '-p', 'true'] },
  getBrokerConfig: {
    args: broker,
    lines:
      /^(brokerName|brokerClusterName|brokerId|flushDiskType|brokerRole|autoCreateTopicEnable) =/,
  },
  brokerConsumeStats: { args: (scene) => [...broker(scene), '-t', '5000'] },
  queryCq: { args: (scene) => ['-t', topic, '-q', '1', '-i', '0', '-c', '2', ...broker(scene)] },
  clusterList: { args: () => [], lines: /^(#Cluster|DefaultCluster)/ },
  'clusterList -m': {
    args: () => ['-m'],
    lines: /^#Cluster/,
    expects: [/^DefaultCluster broker-a /],
  },
  statsAll: {
    args: () => ['-t', topic],
    lines: /^#Topic/,
    expects: [/^Orders CG 0 RATE RATE 8 8$/],
    sampled: true,
  },
  getNamesrvConfig: {
    args: () => [],
    lines: /^(enableTopicList|enableAllTopicList) =/,
  },
  haStatus: { args: broker, lines: /^$/, expects: [/./] },
}

/** Verbs that change something (or need a moment's quiet), in this order, each at its place. */
const changes: Record<string, Verb> = {
  brokerStatus: {
    args: broker,
    lines: /^$/,
    expects: [
      /^bootTimestamp : MILLIS$/,
      /^brokerActive : true$/,
      /^brokerVersionDesc : VERSION$/,
      /^commitLogDiskRatio : RATE$/,
      /^commitLogMaxOffset : \d+$/,
      /^commitLogMinOffset : 0$/,
      /^consumeQueueDiskRatio : RATE$/,
      /^dispatchBehindBytes : \d+$/,
      /^earliestMessageTimeStamp : MILLIS$/,
      /^getMissTps : /,
      /^getTransferredTps : /,
      /^msgGetTotalTodayNow : \d+$/,
      /^msgPutTotalTodayNow : \d+$/,
      /^pageCacheLockTimeMills : \d+$/,
      /^putMessageDistributeTime :/,
      /^putMessageTimesTotal : \d+$/,
      /^putTps : /,
      /^remainHowManyDataToFlush : /,
      /^sendThreadPoolQueueSize : \d+$/,
    ],
  },
  'topicList -c': { args: () => ['-c'], lines: /#Cluster|Orders/ },
  'updateTopic -c': { args: () => ['-c', 'DefaultCluster', '-t', 'ByCluster'] },
  updateTopicPerm: { args: (scene) => [...broker(scene), '-t', 'ByCluster', '-p', '4'] },
  'updateTopic with an illegal name': {
    args: (scene) => [...broker(scene), '-t', 'a b'],
    lines: /Exception|DESC/,
    expects: [/CODE: 29 .*The specified topic: a b, contains illegal characters/],
  },
  updateSubGroup: { args: (scene) => [...broker(scene), '-g', 'CG2', '-r', '3'] },
  'getConsumerConfig of the new one': { args: () => ['-g', 'CG2'] },
  cloneGroupOffset: { args: () => ['-s', 'CG', '-d', 'CG2', '-t', topic] },
  'cloneGroupOffset to an unknown group': { args: () => ['-s', 'CG', '-d', 'NoSuch', '-t', topic] },
  sendMessage: { args: () => ['-t', topic, '-p', 'hello', '-b', 'broker-a', '-i', '2'] },
  'topicStatus after the send': { args: ofTopic, without: /Topic Put TPS/ },
  checkMsgSendRT: {
    args: () => ['-t', topic, '-a', '3', '-s', '10'],
    lines: /^#|^$/,
    expects: [/^broker-a \d true \d+$/],
  },
  sendMsgStatus: { args: () => ['-b', 'broker-a', '-s', '10', '-c', '3'] },
  updateBrokerConfig: {
    args: (scene) => [...broker(scene), '-k', 'autoCreateTopicEnable', '-v', 'true'],
  },
  updateNamesrvConfig: { args: () => ['-k', 'enableTopicList', '-v', 'true'] },
  updateKvConfig: { args: () => ['-s', 'SPACE', '-k', 'K', '-v', 'V'] },
  deleteKvConfig: { args: () => ['-s', 'SPACE', '-k', 'K'] },
  wipeWritePerm: { args: () => ['-b', 'broker-a'], lines: /^$/, expects: [/OK, \d+/] },
  addWritePerm: { args: () => ['-b', 'broker-a'], lines: /^$/, expects: [/OK, \d+/] },
  cleanExpiredCQ: { args: broker },
  cleanUnusedTopic: { args: broker },
  deleteExpiredCommitLog: { args: broker },
}

/** After the consumer has left. */
const offline: Record<string, Verb> = {
  resetOffsetByTime: { args: () => ['-g', 'CG', '-t', topic, '-s', '0'] },
  'consumerProgress after the reset': { args: ofGroup },
  skipAccumulatedMessage: { args: () => ['-g', 'CG', '-t', topic] },
  'consumerProgress after the skip': { args: ofGroup },
  consumerConnection: { args: ofGroup },
  deleteSubGroup: { args: (scene) => [...broker(scene), '-g', 'CG'] },
  deleteTopic: { args: () => ['-c', 'DefaultCluster', '-t', topic] },
  'topicRoute of the deleted topic': { args: ofTopic },
}

describe.skipIf(skipBecause('mqadmin', peers.missing))(`mqadmin on ${targetKind}`, () => {
  let ours: Scene
  let apache: Scene

  beforeAll(async () => {
    if (peers.missing !== null) return
    const [first, second] = await Promise.all([
      startTarget(peers),
      startApache({ classPath: peers.classPath }),
    ])
    ;[ours, apache] = await Promise.all([
      setScene(first, peers.classPath),
      setScene(second, peers.classPath),
    ])
  })

  afterAll(async () => {
    for (const scene of [ours, apache]) {
      await scene.java.stop()
      await scene.cluster.stop()
    }
  })

  async function printed(scene: Scene, name: string, verb: Verb): Promise<string[]> {
    const [command = ''] = name.split(' ')
    const args = verb.args(scene)
    return normalised(
      scene,
      await scene.java.mqadmin(command, '-n', scene.cluster.namesrv, ...args),
    )
  }

  async function compare(name: string, verb: Verb): Promise<void> {
    const has = (lines: readonly string[]): boolean =>
      verb.expects?.every((pattern) => lines.some((line) => pattern.test(line))) ?? true
    const settled = async (scene: Scene): Promise<string[]> =>
      until(
        `${name} of ${scene.cluster.kind}`,
        async () => {
          const lines = await printed(scene, name, verb)
          return verb.sampled !== true || has(lines) ? lines : null
        },
        60_000,
      )
    const [mine, theirs] = await Promise.all([settled(ours), settled(apache)])
    const keep = (line: string): boolean =>
      (verb.lines?.test(line) ?? true) && !(verb.without?.test(line) ?? false)
    expect(comparable(mine.filter(keep)), name).toEqual(comparable(theirs.filter(keep)))
    for (const pattern of verb.expects ?? []) {
      expect(
        theirs.some((line) => pattern.test(line)),
        `Apache: ${name} ${pattern}`,
      ).toBe(true)
      expect(
        mine.some((line) => pattern.test(line)),
        `${name} ${pattern}: ${mine.join('\n')}`,
      ).toBe(true)
    }
  }

  describe('prints what it prints on Apache', () => {
    it.concurrent.each(Object.entries(looks))('%s', async (name, verb) => {
      await compare(name, verb)
    })
  })

  describe('prints the same when it changes something', () => {
    it.each(Object.entries(changes))('%s', async (name, verb) => {
      await compare(name, verb)
    })
  })

  describe('prints the same once the consumer has left', () => {
    beforeAll(async () => {
      await Promise.all(
        [ours, apache].map((scene) => scene.java.call('push.stop', { name: 'consumer' })),
      )
    })

    it.each(Object.entries(offline))('%s', async (name, verb) => {
      await compare(name, verb)
    })
  })
})
