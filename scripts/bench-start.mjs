// How long a person waits: `--help`, and from nothing to the first acknowledged message. Ratios to a
// bare `node -e 0` in the same run, because machines differ. Run `npm run build` first.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const rounds = Number(process.argv[2] ?? 10)
const bin = path.join(import.meta.dirname, '..', 'bin', 'run.js')
const home = mkdtempSync(path.join(tmpdir(), 'mqctl-start-'))
const env = {
  ...process.env,
  XDG_DATA_HOME: path.join(home, 'data'),
  XDG_STATE_HOME: path.join(home, 'state'),
}

function run(...args) {
  execFileSync(process.execPath, args, { env, stdio: 'ignore' })
}

function timeMs(...args) {
  const startMs = performance.now()
  run(...args)
  return performance.now() - startMs
}

const times = { bare: [], help: [], start: [], firstMessage: [] }
try {
  for (let round = 0; round < rounds; round += 1) {
    times.bare.push(timeMs('-e', '0'))
    times.help.push(timeMs(bin, '--help'))
    const startMs = timeMs(bin, 'start', 'b', '--detach', '--wait', '--any-port')
    times.start.push(startMs)
    times.firstMessage.push(startMs + timeMs(bin, 'produce', 'first', 'hello'))
    run(bin, 'stop', 'b')
    run(bin, 'purge', 'b', '--yes')
  }
} finally {
  rmSync(home, { recursive: true, force: true })
}

const median = (list) => [...list].sort((one, other) => one - other)[Math.floor(list.length / 2)]
const bareMs = median(times.bare)
const goals = {
  bare: '',
  help: 'goal: 300 ms, 3 × bare',
  start: '',
  firstMessage: 'goal: 1 s, 8 × bare',
}
const names = {
  bare: 'node -e 0',
  help: 'mqctl --help',
  start: 'start --detach --wait',
  firstMessage: '… and the first acknowledged message',
}
console.log(`median of ${rounds} (fastest … slowest), Node ${process.versions.node}`)
for (const [key, list] of Object.entries(times)) {
  const ms = median(list)
  const spread = `${Math.min(...list).toFixed(0)} … ${Math.max(...list).toFixed(0)}`
  console.log(
    `${names[key].padEnd(38)} ${ms.toFixed(0).padStart(5)} ms (${spread})  ${(ms / bareMs).toFixed(1)} × bare  ${goals[key]}`,
  )
}
