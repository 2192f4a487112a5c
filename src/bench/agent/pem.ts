/** Files with certificates and keys, read before anything begins. */
import { MqError, messageOf } from '../../base/errors.ts'
import type { Disk } from '../../world/disk.ts'
import type { TlsIdentity } from '../../world/secure-net.ts'

/** Throws MqError CONFIG_INVALID for what is not there, cannot be read, or holds no such thing. */
export async function readPem(
  disk: Disk,
  path: string,
  what: 'CERTIFICATE' | 'PRIVATE KEY',
): Promise<Buffer> {
  const hint =
    'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 makes both'
  let text: Buffer
  try {
    text = await disk.readFile(path)
  } catch (error) {
    throw new MqError('CONFIG_INVALID', { where: path, what: messageOf(error), hint })
  }
  if (!new RegExp(`-----BEGIN (?:[A-Z]+ )?${what}-----`).test(text.toString('latin1'))) {
    throw new MqError('CONFIG_INVALID', {
      where: path,
      what: `holds no ${what.toLowerCase()}`,
      hint,
    })
  }
  return text
}

/** Certificate and key of who listens; null when neither is given. */
export async function readIdentity(
  disk: Disk,
  certificate: string | null,
  key: string | null,
): Promise<TlsIdentity | null> {
  if (certificate === null || key === null) return null
  return {
    certificate: await readPem(disk, certificate, 'CERTIFICATE'),
    key: await readPem(disk, key, 'PRIVATE KEY'),
  }
}
