/** The base of commands that talk to a broker, embedded or Apache's. */
import { formatCount } from '../base/units.ts'
import type { Admin } from '../client/admin.ts'
import type { TraceLoss } from '../client/tracer.ts'
import { MqctlCommand } from './command.ts'
import { chooseNameServers, withAdmin } from './connection.ts'
import { connectionFlags, globalFlags } from './flags.ts'

export abstract class BrokerCommand<Result = unknown> extends MqctlCommand<Result> {
  static override baseFlags = { ...connectionFlags, ...globalFlags }

  /** Gives `use` a hand on the cluster of the name servers that the flags, the environment or this machine name. */
  protected connect<Answer>(
    flags: { readonly namesrv?: readonly string[] | undefined; readonly timeout: number },
    use: (admin: Admin) => Promise<Answer>,
  ): Promise<Answer> {
    const { addresses, source } = chooseNameServers(flags.namesrv, process.env)
    this.detail(`name servers ${addresses.join(';')} (${source})`)
    return withAdmin(this.world, addresses, flags.timeout, use)
  }

  /** The work itself is done: traces that no broker took are worth a line and no more. */
  protected remarkOnTraces(loss: TraceLoss | null): void {
    if (loss === null || loss.lost === 0) return
    this.remark(`traces not stored: ${formatCount(loss.lost)} (${loss.whyLost})`)
  }
}
