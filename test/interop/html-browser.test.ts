/**
 * The HTML report in a real browser (Debian's `chromium`, or what CHROMIUM names): hostile names stay
 * text, nothing leaves the page, and it is light, dark and printable.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { inflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { htmlReport } from '../../src/report/html.ts'
import { aPhase, aResult } from '../bench/a-result.ts'

const browser = process.env['CHROMIUM'] ?? 'chromium'
const found = spawnSync(browser, ['--version'], { encoding: 'utf8' })
const whyNot =
  found.status === 0 ? '' : `skipped: ${browser} cannot be run here (CHROMIUM names it)`
if (whyNot !== '') process.stderr.write(`${whyNot}\n`)

describe.skipIf(whyNot !== '')(`the HTML report in a browser ${whyNot}`, () => {
  let directory = ''
  let server: Server
  let hits = 0
  let page = ''

  beforeAll(async () => {
    directory = mkdtempSync(path.join(os.tmpdir(), 'mqctl-page-'))
    server = createServer((_, response) => {
      hits += 1
      response.end()
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    const leak = `http://127.0.0.1:${(server.address() as AddressInfo).port}/leak`
    const hostile = [
      `</script></style></title><script>document.title="ran";fetch("${leak}")</script>`,
      `<img src=${leak} onerror=alert(1)><link rel=stylesheet href=${leak}><iframe src=${leak}>`,
      `" style="background:url(${leak})"`,
    ].join('')
    const base = aResult()
    const { target } = base.environment
    const result = aResult({
      scenario: { ...base.scenario, name: hostile, overrides: [hostile] },
      environment: { ...base.environment, target: { ...target, topic: hostile } },
      reasons: [hostile],
      phases: [aPhase({ name: hostile }), aPhase({ name: 'second' }, { index: 1 })],
    })
    const file = path.join(directory, 'report.html')
    writeFileSync(file, htmlReport(result))
    page = pathToFileURL(file).href
  })
  afterAll(() => {
    server.close()
    rmSync(directory, { recursive: true, force: true })
  })

  /** Runs it without a window; gives what it printed. */
  function browse(args: readonly string[]): Promise<string> {
    const profile = path.join(directory, 'profile')
    const child = spawn(
      browser,
      ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${profile}`, ...args, page],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    )
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    return new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', () => {
        resolve(text)
      })
    })
  }

  it('takes hostile names as text, runs nothing, and asks nobody for anything', async () => {
    const dom = await browse(['--dump-dom'])
    expect(dom).toContain('&lt;/script&gt;')
    expect(dom).not.toMatch(/<(script|img|iframe|link)\b/i)
    expect(dom).not.toContain('<title>ran')
    expect(dom).toContain('<svg')
    expect(hits).toBe(0)
  })

  it.each([
    ['light', 1, [255, 255, 255]],
    ['dark', 0, [0x14, 0x17, 0x1c]],
  ] as const)('is %s where the reader wants it so', async (_, scheme, paper) => {
    const png = path.join(directory, `${scheme}.png`)
    await browse([
      `--screenshot=${png}`,
      '--window-size=900,900',
      '--hide-scrollbars',
      `--blink-settings=preferredColorScheme=${scheme}`,
    ])
    expect(firstPixel(readFileSync(png))).toEqual(paper)
  })

  it('prints', async () => {
    const pdf = path.join(directory, 'report.pdf')
    await browse([`--print-to-pdf=${pdf}`])
    const bytes = readFileSync(pdf)
    expect([bytes.toString('latin1', 0, 5), bytes.length > 10_000]).toEqual(['%PDF-', true])
  })
})

/** Red, green and blue of the upper left corner: of the first pixel no filter of PNG changes a byte. */
function firstPixel(png: Buffer): number[] {
  const data: Buffer[] = []
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at)
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') {
      data.push(png.subarray(at + 8, at + 8 + length))
    }
    at += 12 + length
  }
  return [...inflateSync(Buffer.concat(data)).subarray(1, 4)]
}
