/** Brokers in lists. */
import { formatCount } from '../base/units.ts'
import type { BrokerStatus } from '../client/broker-admin.ts'
import { renderTable } from './table.ts'
import type { Terminal } from './terminal.ts'

export interface BrokerRow {
  readonly name: string
  readonly cluster: string
  /** 0 is the master. */
  readonly id: number
  readonly role: 'master' | 'slave'
  readonly address: string
  readonly version: string | null
  /** Messages a second over the last ten seconds. */
  readonly putTps: number | null
  readonly getTps: number | null
  /** Why it did not answer; null when it did. */
  readonly error: string | null
}

export function brokerRow(status: BrokerStatus): BrokerRow {
  return {
    name: status.broker,
    cluster: status.cluster,
    id: status.id,
    role: status.id === 0 ? 'master' : 'slave',
    address: status.address,
    version: status.version,
    putTps: status.putTps,
    getTps: status.getTps,
    error: status.error,
  }
}

export function brokerTable(rows: readonly BrokerRow[], terminal: Terminal): string {
  if (rows.length === 0) return ''
  const tps = (value: number | null) => (value === null ? null : formatCount(value))
  const withErrors = rows.some(({ error }) => error !== null)
  return renderTable(
    terminal,
    [
      { head: 'CLUSTER' },
      { head: 'BROKER' },
      { head: 'ROLE' },
      { head: 'ADDRESS' },
      { head: 'VERSION' },
      { head: 'IN/S', align: 'right' },
      { head: 'OUT/S', align: 'right' },
      ...(withErrors ? [{ head: 'ERROR' }] : []),
    ],
    rows.map((row) => [
      row.cluster,
      row.name,
      row.role,
      row.address,
      row.version,
      tps(row.putTps),
      tps(row.getTps),
      ...(withErrors ? [row.error] : []),
    ]),
  )
}
