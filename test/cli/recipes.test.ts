/** Every recipe of `docs/recipes` is run as it stands, and prints what it says it prints. */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { recipesIn } from '../../src/cli/recipes.ts'
import { Home } from './mqctl.ts'

const recipes = recipesIn(path.join(import.meta.dirname, '..', '..', 'docs', 'recipes'))

let home: Home
beforeAll(async () => {
  home = await Home.make()
  await home.run(['start', '--detach', '--wait', '--any-port'])
})
afterAll(() => home.remove())

describe('a recipe', () => {
  it.each(recipes)('$name does what it says', async ({ text }) => {
    const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block)
    expect(blocks).toHaveLength(1)
    const [block = ''] = blocks
    const said = [...block.matchAll(/^#=> (.*)$/gm)].map(([, line]) => line)
    expect(said.length).toBeGreaterThan(0)
    const { stdout, stderr, exitCode } = await home.shell(`set -eu\n${block}`)
    expect([exitCode, exitCode === 0 ? '' : stderr]).toEqual([0, ''])
    // What each line says is printed, in that order.
    let rest = stdout
    for (const line of said) {
      expect(rest).toContain(line)
      rest = rest.slice(rest.indexOf(line ?? '') + (line ?? '').length)
    }
  })

  it('is shown by mqctl cheat, all of them shortly and one in full', async () => {
    const { document } = await home.json(['cheat'])
    expect(document.recipes.map(({ name }: { name: string }) => name)).toEqual(
      recipes.map(({ name }) => name),
    )
    const all = await home.run(['cheat'])
    for (const { title, commands } of recipes) {
      expect(all.stdout).toContain(title)
      for (const line of commands) expect(all.stdout).toContain(line)
    }
    const one = await home.run(['cheat', 'replay'])
    expect(one.stdout.trimEnd()).toBe(recipes.find(({ name }) => name === 'replay')?.text.trimEnd())
    const none = await home.json(['cheat', 'replays'])
    expect([none.exitCode, none.document.error.hint]).toEqual([2, 'did you mean replay?'])
  })
})
