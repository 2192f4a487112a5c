/**
 * Replies that are being pushed or stored: their bodies and properties are kept until the client that asked has
 * confirmed, which may take seconds. How many that may be, of all clients and of one: who does not
 * confirm must not keep the replies of others away.
 */

/** Replies of all clients, and the bytes that are kept of them. */
const COUNT_MAX = 10_000
const BYTES_MAX = 64 * 1024 * 1024
/** Of that, to one client. */
const CLIENT_COUNT_MAX = COUNT_MAX / 4
const CLIENT_BYTES_MAX = BYTES_MAX / 4

class Load {
  count = 0
  bytes = 0

  add(count: number, bytes: number): void {
    this.count += count
    this.bytes += bytes
  }

  /** One is always taken, however long it is. */
  hasRoom(bytes: number, countMax: number, bytesMax: number): boolean {
    return this.count === 0 || (this.count < countMax && this.bytes + bytes <= bytesMax)
  }
}

export class RepliesUnderWay {
  readonly #all = new Load()
  readonly #clients = new Map<string, Load>()

  get count(): number {
    return this.#all.count
  }

  /** False when there is no room for it; else it counts until `leave`. */
  enter(clientId: string, bytes: number): boolean {
    const own = this.#clients.get(clientId) ?? new Load()
    if (!this.#all.hasRoom(bytes, COUNT_MAX, BYTES_MAX)) return false
    if (!own.hasRoom(bytes, CLIENT_COUNT_MAX, CLIENT_BYTES_MAX)) return false
    this.#all.add(1, bytes)
    own.add(1, bytes)
    this.#clients.set(clientId, own)
    return true
  }

  leave(clientId: string, bytes: number): void {
    this.#all.add(-1, -bytes)
    const own = this.#clients.get(clientId)
    own?.add(-1, -bytes)
    if (own?.count === 0) this.#clients.delete(clientId)
  }
}
