import { describe, expect, it } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import { type BrokerOptions, brokerSettings, changeSettings } from '../../src/broker/options.ts'

function faultOf(options: BrokerOptions): string | null {
  try {
    brokerSettings(options)
    return null
  } catch (error) {
    return error instanceof MqError ? error.code : String(error)
  }
}

describe('the settings of a broker', () => {
  it('tell clients the port that was bound', () => {
    expect(brokerSettings({ port: 0 }, 4711).advertisedAddress).toBe('127.0.0.1:4711')
    expect(brokerSettings({ advertise: 'mq.example.org' }).advertisedAddress).toBe(
      'mq.example.org:10911',
    )
    expect(brokerSettings({ advertise: '::1', port: 5 }).advertisedAddress).toBe('[::1]:5')
  })

  it('name each name server once', () => {
    const { namesrvAddresses } = brokerSettings({ namesrv: 'a:9876;b:9876;a:9876;' })
    expect(namesrvAddresses).toEqual(['a:9876', 'b:9876'])
  })

  it.each([
    ['an address that nobody can connect to', { host: '0.0.0.0' }],
    ['a name with a slash', { brokerName: 'a/b' }],
    ['a name that leads elsewhere', { clusterName: '..' }],
    ['a follower, which is not built', { brokerId: 1 }],
    ['an address without port', { namesrv: 'localhost' }],
    ['a port that is none', { port: 70_000 }],
    ['an option that is none', { ['brokerNmae' as 'brokerName']: 'b' }],
  ])('refuse %s', (_what, options) => {
    expect(faultOf(options)).toBe('CONFIG_INVALID')
  })

  it('change only where that is allowed', () => {
    const settings = brokerSettings({})
    changeSettings(settings, { autoCreateTopic: false, brokerName: 'other' })
    expect([settings.autoCreateTopic, settings.brokerName]).toEqual([false, 'broker-a'])
    expect(() => {
      Object.assign(settings, { somethingNew: 1 })
    }).toThrow(TypeError)
  })
})
