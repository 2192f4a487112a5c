// add-up.mjs DIRECTORY: says what failed in the parts of a run, then adds them up. A part is
// NAME.exit (its exit code), NAME.json (vitest's report, if it is a suite) and NAME.log (its output).
// The failures stand right before the sums, so that they survive where only the last lines are kept;
// before them what passed only when it was tried again.
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'

const MESSAGE_LINES = 6
const LOG_LINES = 12
const FAILURES_MAX = 30

const directory = process.argv[2]
const total = { passed: 0, failed: 0, skipped: 0 }
const sums = []
const failures = []
const unsteady = []

for (const file of readdirSync(directory).filter((name) => name.endsWith('.exit'))) {
  const part = path.basename(file, '.exit')
  const exitCode = Number(contents(file))
  const report = reportOf(part)
  const counts = countsOf(report)
  const failed = report === null ? [] : failuresOf(part, report)
  // A part that failed without a failing test (a type error, a time-out) is itself a failure.
  if (exitCode !== 0 && counts.failed === 0) counts.failed = 1
  else if (exitCode === 0 && counts.passed + counts.skipped === 0) counts.passed = 1
  if (exitCode !== 0 && failed.length === 0) failed.push(failureOf(part, exitCode))
  failures.push(...failed)
  if (report !== null) unsteady.push(...unsteadyOf(part, report))
  sums.push(`${part}: ${text(counts)}`)
  for (const key of Object.keys(total)) total[key] += counts[key]
}

for (const test of unsteady.slice(0, FAILURES_MAX)) console.log(`${test}\n`)
for (const failure of failures.slice(0, FAILURES_MAX)) console.log(`${failure}\n`)
if (failures.length > FAILURES_MAX) console.log(`… and ${failures.length - FAILURES_MAX} more\n`)
for (const line of sums) console.log(line)
console.log(text(total))
process.exitCode = total.failed === 0 ? 0 : 1

/** Each failed test: suite, file, full name, how its message begins; also files that did not load. */
function failuresOf(part, { testResults }) {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = path.relative(process.cwd(), name)
    const tests = assertionResults.filter((test) => test.status === 'failed')
    if (tests.length === 0) {
      return status === 'failed' ? [block(`FAILED ${part} ${file}`, first(message))] : []
    }
    return tests.map(({ fullName, failureMessages }) =>
      block(`FAILED ${part} ${file} > ${fullName}`, first(failureMessages.join('\n'))),
    )
  })
}

/** Each test that failed at first and passed at the second try: a race, in the test or in mqctl. */
function unsteadyOf(part, { testResults }) {
  return testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter((test) => test.status === 'passed' && test.failureMessages.length > 0)
      .map(({ fullName, failureMessages }) =>
        block(
          `UNSTEADY ${part} ${path.relative(process.cwd(), name)} > ${fullName}`,
          first(failureMessages.join('\n')),
        ),
      ),
  )
}

/** A part whose failure no test tells: its exit code, and how its output ended. */
function failureOf(part, exitCode) {
  const why = exitCode === 124 || exitCode === 137 ? ' (out of time)' : ''
  return block(
    `FAILED ${part}: exit code ${exitCode}${why}`,
    lines(contents(`${part}.log`)).slice(-LOG_LINES),
  )
}

function block(head, body) {
  return [head, ...body.map((line) => `    ${line}`)].join('\n')
}

function first(message) {
  return lines(message).slice(0, MESSAGE_LINES)
}

function lines(message) {
  const plain = message.replaceAll(/\u001b\[[0-9;]*m/g, '')
  return plain.split('\n').filter((line) => line.trim() !== '')
}

function countsOf(report) {
  if (report === null) return { passed: 0, failed: 0, skipped: 0 }
  // A file that did not load has no tests to count.
  const unloaded = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && assertionResults.every((test) => test.status !== 'failed'),
  )
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloaded.length,
    skipped: report.numPendingTests + report.numTodoTests,
  }
}

function reportOf(part) {
  try {
    return JSON.parse(contents(`${part}.json`))
  } catch {
    return null
  }
}

/** '' when there is no such file. */
function contents(file) {
  try {
    return readFileSync(path.join(directory, file), 'utf8')
  } catch {
    return ''
  }
}

function text({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}
