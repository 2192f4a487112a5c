import { describe, expect, it } from 'vitest'
import {
  dataDirRow,
  leftOverRow,
  nodeRow,
  summaryOf,
  terminalRow,
} from '../../../src/host/doctor/doctor.ts'
import {
  harmlessEnvironment,
  redact,
  redactProperties,
  redactValue,
} from '../../../src/host/doctor/redact.ts'

describe('redaction', () => {
  it.each([
    'password=PLANTED',
    'secretKey: PLANTED',
    '"accessKey":"PLANTED"',
    "token='PLANTED words'",
    '--secret PLANTED',
    '-Djavax.net.ssl.keyStorePassword=PLANTED',
    'amqp://user:PLANTED@host:5672/',
    'amqp://user:PLA/PLANTED@x@host:5672/',
    'redis://:PLANTED@host',
    'https://PLANTED@host/repository',
    '{"msg":"{\\"password\\":\\"PLANTED\\"}"}',
    'ak=PLANTED&sk=PLANTED',
    'eyJhbGciOiJIUzI1NiJ9.eyJPLANTEDIi.PLANTED',
    '{"msg":"connects with password=PLANTED to it"}',
    'url=jdbc:mysql://host/db?user=a&password=PLANTED',
    'url=jdbc:mysql://host/db?password=PLANTED',
    'Authorization: Bearer PLANTED123',
    'sasl.jaas.config=PLANTED',
    '-----BEGIN PRIVATE KEY-----\nPLANTED\n-----END PRIVATE KEY-----',
  ])('hides the value in %j', (text) => {
    expect(redact(`before ${text} after`)).not.toContain('PLANTED')
  })

  it('leaves what explains a fault', () => {
    const text = 'WARN broker-a flush took=120 ms path=/data topic=orders'
    expect(redact(text)).toBe(text)
  })

  it('keeps of the environment a list of names only', () => {
    const kept = harmlessEnvironment({ HOME: '/root', AWS_SECRET: 'PLANTED', MY_THING: 'PLANTED' })
    expect(kept).toEqual({ HOME: '/root' })
  })

  it('keeps of a properties file keys, and values of a list', () => {
    const text = redactProperties(
      '# c\na=1\nflushDiskType = SYNC_FLUSH\nx: 2',
      new Set(['flushDiskType']),
    )
    expect(text).toBe('a=(hidden)\nflushDiskType = SYNC_FLUSH\nx=(hidden)')
  })

  it('goes to any depth of a value', () => {
    const value = redactValue({ list: [{ password: 'PLANTED', text: 'token=PLANTED', count: 1 }] })
    expect(JSON.stringify(value)).not.toContain('PLANTED')
  })
})

describe('doctor', () => {
  it.each([
    ['18.20.0', 'fail'],
    ['20.18.9', 'fail'],
    ['20.19.0', 'ok'],
    ['23.1.0', 'warn'],
    ['24.0.0', 'ok'],
  ])('judges Node %s: %s', (version, status) => {
    expect(nodeRow(version).status).toBe(status)
  })

  it('wants UTF-8 and eighty columns of a terminal', () => {
    const look = { stdoutIsTty: true, widthColumns: 120, term: 'xterm', locale: 'C.UTF-8' }
    expect(terminalRow(look).status).toBe('ok')
    expect(terminalRow({ ...look, locale: 'C' }).hint).toContain('LC_ALL')
    expect(terminalRow({ ...look, widthColumns: 60 }).status).toBe('warn')
    expect(terminalRow({ ...look, stdoutIsTty: false }).status).toBe('ok')
  })

  it.runIf(process.platform === 'linux')('says that a data directory cannot be made', () => {
    expect(dataDirRow('/proc/no/such/place').status).toBe('fail')
  })

  it('finds roles that outlived their supervisor, and strangers', () => {
    const running = [{ pid: 7, role: 'broker' }]
    expect(leftOverRow(running, new Set([7]), [{ name: 'local/broker-a', pid: 7 }])).toMatchObject({
      status: 'fail',
      hint: 'mqctl stop --all ends them',
    })
    expect(leftOverRow(running, new Set(), []).status).toBe('warn')
    expect(leftOverRow(running, new Set([7]), []).status).toBe('ok')
  })

  it('ends with 1 when something failed, and only then', () => {
    const row = (status: 'ok' | 'warn' | 'fail') => ({ id: 'x', status, text: '', hint: '' })
    expect(summaryOf([row('ok'), row('warn')]).exitCode).toBe(0)
    expect(summaryOf([row('ok'), row('fail')]).exitCode).toBe(1)
  })
})
