/**
 * Pulls that have to read the disk, a limited number of bytes at one time for each connection: a
 * consumer of hundreds of queues, or a peer that means harm, asks for more in one chunk than the
 * broker may hold in memory.
 */
import type { Connection } from '../remoting/connection.ts'

/** What the answers under way for one connection may come to. */
const BYTES_MAX = 16 * 1024 * 1024

type Read = () => Promise<void>

class Turns {
  bytes = 0
  readonly waiting: { readonly bytes: number; readonly read: Read }[] = []
}

export class ColdReads {
  readonly #turns = new WeakMap<Connection, Turns>()

  /** Runs `read`, whose answer has at most `bytes`, now or when there is room; it must not reject. */
  run(connection: Connection, bytes: number, read: Read): void {
    let turns = this.#turns.get(connection)
    if (turns === undefined) this.#turns.set(connection, (turns = new Turns()))
    turns.waiting.push({ bytes, read })
    this.#start(turns)
  }

  #start(turns: Turns): void {
    for (let next = turns.waiting[0]; next !== undefined; next = turns.waiting[0]) {
      const { bytes, read } = next
      if (turns.bytes > 0 && turns.bytes + bytes > BYTES_MAX) return
      turns.waiting.shift()
      turns.bytes += bytes
      void read().finally(() => {
        turns.bytes -= bytes
        this.#start(turns)
      })
    }
  }
}
