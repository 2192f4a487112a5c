// Compiles src and commands into dist and writes oclif's command manifest (fast start-up).
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const require = createRequire(import.meta.url)
const root = path.join(import.meta.dirname, '..')
const bin = (name, file) => path.join(path.dirname(require.resolve(`${name}/package.json`)), file)

// Compiled files of sources that are gone would still be found as commands.
rmSync(path.join(root, 'dist/commands'), { recursive: true, force: true })
rmSync(path.join(root, 'oclif.manifest.json'), { force: true })
execFileSync(process.execPath, [bin('typescript', 'bin/tsc'), '-p', root], { stdio: 'inherit' })
execFileSync(process.execPath, [bin('oclif', 'bin/run.js'), 'manifest', root], {
  stdio: ['ignore', 'ignore', 'inherit'],
  // The generator would ask a registry whether there is a newer one.
  env: { ...process.env, OCLIF_SKIP_NEW_VERSION_CHECK: 'true' },
})
