/**
 * Byte streams under TLS 1.3, for what leaves this machine. Both sides are named by files that the
 * user made; the certificate is always checked, name or address included.
 */
import type { ByteStream, Listener } from './net.ts'

/** PEM texts of who listens. */
export interface TlsIdentity {
  readonly certificate: Buffer
  readonly key: Buffer
}

export interface SecureNet {
  /**
   * Rejects with Node's error: ECONNREFUSED, ETIMEDOUT, DEPTH_ZERO_SELF_SIGNED_CERT …
   *
   * @param authority PEM of the only authority to trust; null for those that Node trusts
   */
  connect(
    host: string,
    port: number,
    timeoutMs: number,
    authority: Buffer | null,
  ): Promise<ByteStream>
  /** Rejects with EADDRINUSE, EACCES …, or with OpenSSL's error when the identity is none. */
  listen(
    host: string,
    port: number,
    identity: TlsIdentity,
    accept: (stream: ByteStream) => void,
  ): Promise<Listener>
}
