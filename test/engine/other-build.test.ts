import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { MqError } from '../../src/base/errors.ts'
import { binOfBuild, startOtherBuild } from '../../src/engine/other-build.ts'
import { isAlive } from '../../src/engine/process-identity.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { aMain } from './a-main.ts'

let home = ''
let mains = ''
let keeper: URL

beforeAll(async () => {
  mains = mkdtempSync(path.join(os.tmpdir(), 'mqctl-mains-'))
  keeper = await aMain('roles/build-keeper', mains)
})
afterAll(() => {
  rmSync(mains, { recursive: true, force: true })
})
beforeEach(() => {
  home = mkdtempSync(path.join(os.tmpdir(), 'mqctl-build-'))
  vi.stubEnv('XDG_DATA_HOME', home)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(home, { recursive: true, force: true })
})

/** A build whose commands write down how they were called. */
function aBuild(start: string): string {
  const bin = path.join(home, 'build', 'bin', 'run.js')
  mkdirSync(path.dirname(bin), { recursive: true })
  const calls = path.join(home, 'calls')
  writeFileSync(
    bin,
    `const fs = require('node:fs')
fs.appendFileSync(${JSON.stringify(calls)}, process.argv.slice(2).join(' ') + '\\n')
if (process.argv[2] === 'start') { ${start} }
`,
  )
  return bin
}

const serves = `console.log(JSON.stringify({namesrv: ['127.0.0.1:1'], brokers: [{name: 'b', address: '127.0.0.1:2', pid: 3}]}))`
const calls = () => readFileSync(path.join(home, 'calls'), 'utf8').trim().split('\n')
const benchHome = () => path.join(home, 'mqctl', 'bench')
const left = () => readdirSync(benchHome())

describe('brokers of another build', () => {
  it('are started and stopped by its own commands, and leave nothing', async () => {
    const bin = aBuild(serves)
    const build = await startOtherBuild(nodeWorld, { bin, brokers: 2, flush: 'sync', keeper })
    expect([build.namesrv, build.brokers[0]?.address]).toEqual([['127.0.0.1:1'], '127.0.0.1:2'])
    expect(left()).toHaveLength(1)
    await build.end()
    expect(calls()).toEqual([
      expect.stringMatching(/^start gate --detach --any-port .* --brokers 2 --flush sync$/),
      'stop gate',
    ])
    expect(left()).toEqual([])
  })

  it.each([
    ['that do not start', `console.error('no room'); process.exit(1)`, 'no room'],
    ['that say nothing we know', `console.log('hello')`, 'start failed'],
  ])('%s are an error with its words, and nothing stays', async (_, start, why) => {
    const bin = aBuild(start)
    const failed = startOtherBuild(nodeWorld, { bin, brokers: 1, flush: 'async', keeper })
    await expect(failed).rejects.toThrow(why)
    await expect(failed).rejects.toBeInstanceOf(MqError)
    expect([calls().at(-1), left()]).toEqual(['stop gate', []])
  })

  it('are stopped and removed when the gate is killed, also while they are being started', async () => {
    for (const start of [serves, `setTimeout(() => { ${serves} }, 300)`]) {
      const bin = aBuild(start)
      const gate = path.join(mains, 'gate.mjs')
      const module = JSON.stringify(await aMain('other-build', mains))
      const options = `{ bin: ${JSON.stringify(bin)}, brokers: 1, flush: 'async', keeper: new URL(${JSON.stringify(keeper)}) }`
      const world = `{ disk: { list: async () => [], makeDirectory: async (path) => fs.mkdirSync(path, { recursive: true }) } }`
      writeFileSync(
        gate,
        `import fs from 'node:fs'
const { startOtherBuild } = await import(${module})
startOtherBuild(${world}, ${options}).then(() => fs.writeFileSync(${JSON.stringify(path.join(home, 'serves'))}, ''))
setInterval(() => 0, 1000)
`,
      )
      rmSync(path.join(home, 'calls'), { force: true })
      const child = spawn(process.execPath, [gate], { stdio: 'inherit' })
      const isReady = () => existsSync(path.join(home, start === serves ? 'serves' : 'calls'))
      await expect.poll(isReady).toBe(true)
      const [root = ''] = left()
      const owner = JSON.parse(readFileSync(path.join(benchHome(), root, 'owner.json'), 'utf8'))
      child.kill('SIGKILL')
      await expect.poll(() => isAlive(owner.identity)).toBe(false)
      expect([calls().at(-1), left()]).toEqual(['stop gate', []])
    }
  })

  it('that a killed gate left behind are stopped by the next', async () => {
    const bin = aBuild(serves)
    const forgotten = path.join(home, 'mqctl', 'bench', 'build-00000000')
    mkdirSync(forgotten, { recursive: true })
    const identity = { pid: 2 ** 22 + 1, startedAt: '1' }
    writeFileSync(path.join(forgotten, 'owner.json'), JSON.stringify({ identity, bin }))
    const build = await startOtherBuild(nodeWorld, { bin, brokers: 1, flush: 'async', keeper })
    expect([calls()[0], existsSync(forgotten)]).toEqual(['stop gate', false])
    await build.end()
  })

  it('are found by their directory or by their file, and nothing else is taken for one', () => {
    const bin = aBuild(serves)
    const directory = path.join(home, 'build')
    expect([binOfBuild(directory), binOfBuild(bin)]).toEqual([bin, bin])
    expect(() => binOfBuild(home)).toThrow('there is no bin/run.js in it')
    expect(() => binOfBuild(path.join(home, 'nope'))).toThrow('there is no such file')
  })
})
