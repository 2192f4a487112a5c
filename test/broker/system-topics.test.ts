import { describe, expect, it } from 'vitest'
import { systemTopics } from '../../src/broker/system-topics.ts'

const facts = {
  clusterName: 'C',
  brokerName: 'a',
  autoCreateTopic: true,
  defaultTopicQueueNums: 8,
  traceTopicEnable: false,
}
const named = (name: string, changes: Partial<typeof facts> = {}) =>
  systemTopics({ ...facts, ...changes }).filter(({ topicName }) => topicName === name)

describe('the topics of a new broker', () => {
  it('include that of message traces only when it is asked for', () => {
    expect(named('RMQ_SYS_TRACE_TOPIC')).toEqual([])
    const [traces, ...others] = named('RMQ_SYS_TRACE_TOPIC', { traceTopicEnable: true })
    expect(traces).toMatchObject({ readQueueNums: 1, writeQueueNums: 1, perm: 6 })
    expect(others).toEqual([])
  })

  it('include the one to make topics from only while topics are made by themselves', () => {
    expect(named('TBW102')).toMatchObject([{ writeQueueNums: 8, perm: 7 }])
    expect(named('TBW102', { autoCreateTopic: false })).toEqual([])
  })
})
