/** What a side of a gate is, from how it is written on the command line: pure. */
import { MqError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import type { Override } from './scenario.ts'

export type GateTarget =
  /** Brokers of this build, with these keys of the scenario changed. */
  | { readonly kind: 'self'; readonly overrides: readonly Override[] }
  /** Brokers that run. */
  | { readonly kind: 'brokers'; readonly overrides: readonly Override[] }
  /** Brokers of another build: its directory or `bin/run.js`. */
  | { readonly kind: 'build'; readonly place: string; readonly overrides: readonly Override[] }

const ADDRESS = /^(?:\[[0-9a-fA-F:.%]+\]|[^\s:/=]+):\d{1,5}$/

/** Throws MqError VALUE_INVALID. */
export function gateTarget(spec: string): GateTarget {
  if (spec === 'self') return { kind: 'self', overrides: [] }
  const addresses = spec.split(';')
  if (addresses.every((address) => ADDRESS.test(address))) {
    const overrides = [
      { path: 'target.driver', value: 'rocketmq', source: spec },
      { path: 'target.endpoints', value: JSON.stringify(addresses), source: spec },
    ]
    return { kind: 'brokers', overrides }
  }
  if (/^[a-z][A-Za-z0-9.]*=/.test(spec)) {
    const overrides = spec.split(/,(?=[a-z][A-Za-z0-9.]*=)/).map((pair): Override => {
      const equals = pair.indexOf('=')
      return { path: pair.slice(0, equals), value: pair.slice(equals + 1), source: pair }
    })
    return { kind: 'self', overrides }
  }
  if (/[\\/]/.test(spec) || spec === '.' || spec === '..') {
    return { kind: 'build', place: spec, overrides: [] }
  }
  throw new MqError('VALUE_INVALID', {
    what: `${JSON.stringify(spec)} is no side of a gate`,
    hint:
      nearest(spec, ['self']) === 'self'
        ? 'did you mean self?'
        : 'write self, ./DIRECTORY of a build, HOST:PORT of a name server, or KEY=VALUE',
  })
}
