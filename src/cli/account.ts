/**
 * A user without an account: containers run as any user id (`docker run --user 12345`, OpenShift),
 * which has no line in /etc/passwd. Node's os.homedir() and os.userInfo() throw there when HOME or
 * SHELL are not set, and libraries ask both while they load.
 */
import { userInfo } from 'node:os'

/** Gives HOME and SHELL what Docker and POSIX give them, if this user has neither them nor an account. */
export function completeAccount(env: NodeJS.ProcessEnv): void {
  if (env['HOME'] !== undefined && env['SHELL'] !== undefined) return
  try {
    userInfo()
  } catch {
    env['HOME'] ??= '/'
    env['SHELL'] ??= '/bin/sh'
  }
}
