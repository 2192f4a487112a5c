/** A broker on Node: version, thread pool, heap. */
import { formatBytes } from '../../../base/units.ts'
import { measured, skip, verdict, type Check, type Finding } from '../check.ts'
import type { HostFacts, NodeFacts } from '../facts.ts'
import { usableMemory } from './memory.ts'
import { compareVersions } from './platform.ts'

/** mqctl's own floor. */
const NODE_MIN = '20.19.0'

/** End of fixes of each line. Source: nodejs/Release schedule.json. */
const endOfLife: Readonly<Record<number, string>> = {
  18: '2025-04-30',
  20: '2026-04-30',
  22: '2027-04-30',
  24: '2028-04-30',
  26: '2029-04-30',
}

function nodeOf({ target }: HostFacts): NodeFacts | Finding {
  if (target.node !== null) return target.node
  if (target.how === 'port' && target.pid === null) {
    return skip('needs-root', target.why ?? 'the target is not visible')
  }
  return skip(
    'not-applicable',
    target.pid === null ? 'no Node process to judge' : `process ${target.pid} is not Node`,
  )
}

const version: Check = {
  id: 'node.version',
  category: 'node',
  title: 'Version of Node',
  weight: '-/C/W',
  scope: 'process',
  cannotStart: true,
  judge(facts) {
    const node = nodeOf(facts)
    if ('status' in node) return node
    if (node.version === null) {
      return skip('unknown', 'neither its path nor its headers tell the version')
    }
    const major = parseInt(node.version, 10)
    const works = compareVersions(node.version, NODE_MIN) >= 0
    const even = major % 2 === 0
    const end = endOfLife[major]
    const over = end !== undefined && facts.collectedAt.slice(0, 10) > end
    return verdict(works && even && !over, {
      actual: measured(node.version),
      expected: `≥ ${NODE_MIN}, a line with long-term support`,
      evidence: [{ source: node.versionSource ?? '?', value: node.version }],
      ...(works ? { severity: 'info' as const } : {}),
      text: !works
        ? 'mqctl does not run on it'
        : !even
          ? 'odd lines get fixes for half a year'
          : over
            ? `Node ${major} gets no fixes since ${end}; mqctl runs on it`
            : '',
      remedy: { summary: 'install the current LTS line of Node', restart: true },
    })
  },
}

const threadPool: Check = {
  id: 'node.threadpool',
  category: 'node',
  title: 'Threads for file work',
  weight: '-/W/I',
  scope: 'process',
  judge(facts) {
    const { target, disk } = facts
    const node = nodeOf(facts)
    if ('status' in node) return node
    if (target.how === 'none') {
      return skip('not-applicable', 'mqctl start gives each broker 16 threads by itself')
    }
    if (!node.threadPoolKnown) {
      return skip('needs-root', `/proc/${target.pid ?? 'PID'}/environ may not be read by this user`)
    }
    const wanted = Math.max(8, 2 * disk.legs.length)
    const threads = node.threadPool ?? 4
    return verdict(threads >= wanted, {
      actual: measured(threads, 'threads', node.threadPool === null ? '4 (default)' : `${threads}`),
      expected: `≥ ${wanted}`,
      evidence: [
        {
          source: `/proc/${target.pid ?? 'PID'}/environ`,
          value: `UV_THREADPOOL_SIZE ${node.threadPool ?? 'not set'}`,
        },
      ],
      text: 'all file work shares them: cold reads make fdatasync wait',
      remedy: {
        summary: 'set UV_THREADPOOL_SIZE=16 in the unit or where it is started',
        restart: true,
      },
    })
  },
}

const heap: Check = {
  id: 'node.heap',
  category: 'node',
  title: 'Heap of V8 against memory',
  weight: '-/W/W',
  scope: 'process',
  judge(facts) {
    const node = nodeOf(facts)
    if ('status' in node) return node
    const usable = usableMemory(facts)
    if (usable === null) return skip('absent', 'memory is not known')
    const bytes = node.maxOldSpaceMb === null ? null : node.maxOldSpaceMb * 1_048_576
    return verdict(bytes === null || bytes <= usable * 0.6, {
      actual:
        bytes === null
          ? measured('not set', null, 'chosen by V8 from the memory that it sees')
          : measured(bytes, 'B', formatBytes(bytes)),
      expected: `--max-old-space-size ≤ 60 % of ${formatBytes(usable)}`,
      evidence: [
        { source: facts.group.memorySource ?? facts.memory.source, value: formatBytes(usable) },
      ],
      text: 'buffers of messages lie outside of this heap',
      remedy: { summary: 'lower --max-old-space-size', restart: true },
    })
  },
}

export const nodeChecks: readonly Check[] = [version, threadPool, heap]
