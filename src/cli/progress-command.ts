/** The base of commands that move a group's progress: a plan, carried out with --execute, then verified. */
import { ExitCode } from '../base/exit-codes.ts'
import type { Admin } from '../client/admin.ts'
import type { ProgressStep } from '../client/progress-admin.ts'
import { BrokerCommand } from './broker-command.ts'
import { renderTable } from './table.ts'
import type { Terminal } from './terminal.ts'

export interface ProgressChange extends ProgressStep {
  /** Messages that will be processed again (negative: skipped); null when there was no progress. */
  readonly change: number | null
  /** After --execute: whether the broker now says the same. */
  readonly verified: boolean | null
}

export interface ProgressResult {
  readonly group: string
  readonly executed: boolean
  readonly queues: readonly ProgressChange[]
}

export abstract class ProgressCommand<Result extends ProgressResult> extends BrokerCommand<Result> {
  /** Carries the plan out if that is asked for, and looks whether the brokers say so. */
  protected async change(
    admin: Admin,
    group: string,
    plan: readonly ProgressStep[],
    execute: boolean,
  ): Promise<ProgressChange[]> {
    const members = (await admin.groups.connections(group))?.connections.length ?? 0
    if (execute) await admin.progress.apply(group, plan)
    if (members > 0) {
      this.warn(`${members} members of ${group} are connected; they follow within seconds`)
    }
    if (!execute) return plan.map((step) => withChange(step, null))
    return Promise.all(
      plan.map(async (step) => {
        const queue = { topic: step.topic, brokerName: step.broker, queueId: step.queueId }
        const now = await admin.queues.progress(group, queue, true)
        // Members that run may already have gone on from there.
        return withChange(step, now === step.to || (members > 0 && (now ?? -1) >= step.to))
      }),
    )
  }

  /** Says what was done or would be, and fails when a queue does not have its new position. */
  protected report(result: Result): Promise<Result> {
    const { queues, executed } = result
    if (queues.some(({ verified }) => verified === false)) {
      this.warn('some queues do not have the new position; run it again, or stop the members first')
      this.exitWith(ExitCode.failed)
    }
    if (!executed) this.remark('this is a plan; add --execute to do it')
    return this.show(result, {
      rows: () => queues,
      text: (_, terminal) => changesText(queues, terminal),
    })
  }
}

function withChange(step: ProgressStep, verified: boolean | null): ProgressChange {
  return { ...step, change: step.from === null ? null : step.from - step.to, verified }
}

function changesText(queues: readonly ProgressChange[], terminal: Terminal): string {
  if (queues.length === 0) return 'no such queue'
  const several = new Set(queues.map(({ topic }) => topic)).size > 1
  return renderTable(
    terminal,
    [
      ...(several ? [{ head: 'TOPIC' }] : []),
      { head: 'BROKER' },
      { head: 'QUEUE', align: 'right' as const },
      { head: 'FROM', align: 'right' as const },
      { head: 'TO', align: 'right' as const },
      { head: 'CHANGE' },
      { head: 'VERIFIED' },
    ],
    queues.map((row) => [
      ...(several ? [row.topic] : []),
      row.broker,
      row.queueId,
      row.from,
      row.to,
      changeText(row.change),
      row.verified === null ? 'not done' : row.verified ? 'yes' : 'no',
    ]),
  )
}

function changeText(change: number | null): string {
  if (change === null) return 'first position'
  if (change === 0) return 'none'
  return change > 0 ? `${change} again` : `${-change} skipped`
}
