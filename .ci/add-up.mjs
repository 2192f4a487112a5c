// Adds up the parts of a run: vitest's JSON where there is one, else the exit code counts as one test.
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'

const directory = process.argv[2]
const total = { passed: 0, failed: 0, skipped: 0 }

for (const file of readdirSync(directory).filter((name) => name.endsWith('.exit'))) {
  const name = path.basename(file, '.exit')
  const exitCode = Number(readFileSync(path.join(directory, file), 'utf8'))
  const counts = countsOf(name)
  // A part that failed without a failing test (a type error, a time-out) is itself a failure.
  if (exitCode !== 0 && counts.failed === 0) counts.failed = 1
  else if (exitCode === 0 && counts.passed + counts.skipped === 0) counts.passed = 1
  console.log(`${name}: ${text(counts)}`)
  for (const key of Object.keys(total)) total[key] += counts[key]
}
console.log(text(total))
process.exitCode = total.failed === 0 ? 0 : 1

function countsOf(name) {
  try {
    const report = JSON.parse(readFileSync(path.join(directory, `${name}.json`), 'utf8'))
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests,
      skipped: report.numPendingTests + report.numTodoTests,
    }
  } catch {
    return { passed: 0, failed: 0, skipped: 0 }
  }
}

function text({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}
