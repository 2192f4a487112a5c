/**
 * The name servers as one: questions go to the one that answered last, and to the next when it
 * does not.
 */
import { MqError, messageOf } from '../base/errors.ts'
import type { Command } from '../protocol/command.ts'
import type { RemotingClient } from '../remoting/client.ts'
import type { Random } from '../world/random.ts'

export class NameServers {
  readonly addresses: readonly string[]
  readonly #remoting: RemotingClient
  #active: number

  /** Starts with any of them, so that many clients spread. */
  constructor(addresses: readonly string[], remoting: RemotingClient, random: Random) {
    this.addresses = addresses
    this.#remoting = remoting
    this.#active = random.below(addresses.length)
  }

  /** The one that is asked first. */
  get active(): string {
    return this.addresses[this.#active] ?? ''
  }

  /**
   * The response of the first that gives one, whatever its code. `timeoutMs` holds for each.
   * Throws NAMESRV_UNREACHABLE when none does. `make` is called for each attempt.
   */
  async ask(make: () => Command, timeoutMs: number): Promise<Command> {
    const count = this.addresses.length
    const first = this.#active
    let cause: unknown = null
    for (let attempt = 0; attempt < count; attempt++) {
      const at = (first + attempt) % count
      try {
        return await this.#remoting.invoke(this.addresses[at] ?? '', make(), timeoutMs)
      } catch (error) {
        cause = error
        // Others ask at the same time: only the first to see that it is away moves all on.
        if (this.#active === at) this.#active = (at + 1) % count
      }
    }
    throw new MqError(
      'NAMESRV_UNREACHABLE',
      { address: this.addresses.join(', '), why: whyOf(cause) },
      { cause },
    )
  }

  /** The responses of all; throws when one does not answer. For changes, which they do not tell each other. */
  async askAll(make: () => Command, timeoutMs: number): Promise<Map<string, Command>> {
    const responses = new Map<string, Command>()
    for (const address of this.addresses) {
      try {
        responses.set(address, await this.#remoting.invoke(address, make(), timeoutMs))
      } catch (error) {
        throw new MqError('NAMESRV_UNREACHABLE', { address, why: whyOf(error) }, { cause: error })
      }
    }
    return responses
  }
}

/** The part of the text that is not said by NAMESRV_UNREACHABLE itself. */
function whyOf(error: unknown): string {
  if (error instanceof MqError && typeof error.details['why'] === 'string') {
    return error.details['why']
  }
  return messageOf(error)
}
