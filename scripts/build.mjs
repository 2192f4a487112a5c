// Compiles src and commands into dist, puts each process of the engine into one file and writes oclif's
// command manifest (both for a fast start-up).
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { rolldown } from 'rolldown'

const require = createRequire(import.meta.url)
const root = path.join(import.meta.dirname, '..')
const bin = (name, file) => path.join(path.dirname(require.resolve(`${name}/package.json`)), file)

// Compiled files of sources that are gone would still be found as commands.
rmSync(path.join(root, 'dist/commands'), { recursive: true, force: true })
rmSync(path.join(root, 'oclif.manifest.json'), { force: true })
execFileSync(process.execPath, [bin('typescript', 'bin/tsc'), '-p', root], { stdio: 'inherit' })
for (const main of [
  'dist/src/engine/roles/supervisor',
  'dist/src/engine/roles/nameserver',
  'dist/src/engine/roles/broker',
]) {
  const bundle = await rolldown({
    input: path.join(root, `${main}.js`),
    platform: 'node',
    // Looks for its binary beside itself.
    external: ['fs-native-extensions'],
  })
  await bundle.write({ file: path.join(root, `${main}.bundle.js`), codeSplitting: false })
  await bundle.close()
}
execFileSync(process.execPath, [bin('oclif', 'bin/run.js'), 'manifest', root], {
  stdio: ['ignore', 'ignore', 'inherit'],
  // The generator would ask a registry whether there is a newer one.
  env: { ...process.env, OCLIF_SKIP_NEW_VERSION_CHECK: 'true' },
})
