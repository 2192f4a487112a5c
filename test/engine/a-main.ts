/** The main of a process in one file, as the build makes it: a process runs no TypeScript. */
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { rolldown } from 'rolldown'

const engine = path.join(import.meta.dirname, '../../src/engine')

/**
 * @param name in the room of the engine, such as `roles/broker`
 * @param directory where to put it
 */
export async function aMain(name: string, directory: string): Promise<URL> {
  const bundle = await rolldown({ input: path.join(engine, `${name}.ts`), platform: 'node' })
  const file = path.join(directory, `${name.replace('/', '-')}.mjs`)
  await bundle.write({ file, codeSplitting: false })
  await bundle.close()
  return pathToFileURL(file)
}
