/** What running brokers of an instance say about damaged records in their logs. */
import { localAddress } from '../engine/ports.ts'
import type { InstanceStatus, RoleStatus, RunFile } from '../engine/instance.ts'
import type { World } from '../world/world.ts'
import { withAdmin } from './connection.ts'

/** Nobody waits long for `status`: a broker that hangs is shown without these figures. */
const ANSWER_MS_MAX = 2_000

export interface Damage {
  /** Places that recovery skipped and records that could not be read since the broker's start; null when it did not say. */
  readonly badRecords: number | null
  /** Byte of the commit log where the first of them that is known begins; null without any. */
  readonly firstBadOffset: number | null
}

export interface InspectedStatus extends InstanceStatus {
  readonly brokers: readonly (RoleStatus & Damage)[]
}

const unknown: Damage = { badRecords: null, firstBadOffset: null }

/** Asks each broker that runs, on this machine and not by what clients are told. */
export async function withDamage(
  world: World,
  run: RunFile | null,
  status: InstanceStatus,
): Promise<InspectedStatus> {
  const brokers = status.brokers.map((broker) => {
    const role = run?.roles.find(({ name }) => name === broker.name)
    const asks = run !== null && role !== undefined && broker.pid !== null
    return { broker, address: asks ? localAddress(run.plan.bind, role.port) : null }
  })
  if (brokers.every(({ address }) => address === null)) {
    return { ...status, brokers: brokers.map(({ broker }) => ({ ...broker, ...unknown })) }
  }
  return withAdmin(world, status.namesrv, ANSWER_MS_MAX, async (admin) => ({
    ...status,
    brokers: await Promise.all(
      brokers.map(async ({ broker, address }) => {
        if (address === null) return { ...broker, ...unknown }
        const figures = await admin.brokers.runtimeInfo(address).catch(() => null)
        return { ...broker, ...(figures === null ? unknown : damageIn(figures)) }
      }),
    ),
  }))
}

function damageIn(figures: Readonly<Record<string, string>>): Damage {
  const number = (key: string) => {
    const value = Number(figures[key] ?? -1)
    return Number.isSafeInteger(value) && value >= 0 ? value : null
  }
  return {
    badRecords: number('mqctl.log.badRecords'),
    firstBadOffset: number('mqctl.log.firstBadOffset'),
  }
}

/** A line for each broker with damage; none when all is well. */
export function damageText({ brokers }: InspectedStatus): string {
  const lines = brokers.map(({ name, badRecords, firstBadOffset }) => {
    if (badRecords === null || badRecords === 0) return null
    const what = badRecords === 1 ? '1 damaged record' : `${badRecords} damaged records`
    const where = firstBadOffset === null ? '' : `, the first at byte ${firstBadOffset}`
    return `${name} has ${what} in its log${where}; all others are served`
  })
  return lines.filter((line) => line !== null).join('\n')
}
