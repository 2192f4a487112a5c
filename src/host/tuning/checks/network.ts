/** Network: backlogs, ports, buffers, drops, links. */
import { confNumber } from '../broker-conf.ts'
import {
  evidenceOf,
  measured,
  skip,
  sysctlCheck,
  sysctlOf,
  unread,
  verdict,
  type Check,
} from '../check.ts'
import type { LinkFacts } from '../facts.ts'

/** The kernel's own default since 5.4, and well above RocketMQ's 1024. */
const BACKLOG_MIN = 4_096

const somaxconn = sysctlCheck({
  id: 'net.somaxconn',
  category: 'network',
  title: 'Connections that wait to be accepted',
  weight: 'W/W/-',
  scope: 'namespace',
  key: 'net.core.somaxconn',
  expected: '≥ 4096 and ≥ the backlog of the broker',
  judge: (value, facts) => {
    const backlog = confNumber(facts.broker, 'serverSocketBacklog') ?? 1_024
    const want = Math.max(BACKLOG_MIN, backlog)
    return {
      ok: value >= want,
      want: String(want),
      text: `the broker asks for a backlog of ${backlog}; the kernel cuts it to this value`,
      summary: `set net.core.somaxconn = ${want}`,
    }
  },
})

const synBacklog = sysctlCheck({
  id: 'net.syn-backlog',
  category: 'network',
  title: 'Half-open connections',
  weight: 'I/I/-',
  scope: 'namespace',
  key: 'net.ipv4.tcp_max_syn_backlog',
  expected: '≥ 4096',
  judge: (value) => ({
    ok: value >= BACKLOG_MIN,
    want: String(BACKLOG_MIN),
    text: value >= BACKLOG_MIN ? '' : 'all clients come back at once after a restart',
    summary: 'set net.ipv4.tcp_max_syn_backlog = 4096',
  }),
})

const portRange: Check = {
  id: 'net.port-range',
  category: 'network',
  title: 'Local ports for outgoing connections',
  weight: '-/-/W',
  scope: 'namespace',
  keys: ['net.ipv4.ip_local_port_range'],
  judge(facts) {
    const key = 'net.ipv4.ip_local_port_range'
    const reading = sysctlOf(facts, key)
    if (reading.text === null) return unread(reading)
    const [low, high] = reading.text.split(/\s+/).map(Number)
    if (low === undefined || high === undefined || !(high >= low)) {
      return { ...skip('malformed', `${reading.source} says ${reading.text}`), status: 'error' }
    }
    const ports = high - low + 1
    const wanted = Math.max(20_000, 2 * facts.plans.connections)
    return verdict(ports >= wanted, {
      actual: measured(ports, 'ports', `${low}-${high} = ${ports} ports`),
      expected: `≥ ${wanted}: twice the planned connections to one address`,
      evidence: [evidenceOf(reading)],
      text: 'a connection that closes keeps its port for a minute',
      remedy: {
        summary: 'set net.ipv4.ip_local_port_range = 10000 65000',
        changes: [{ kind: 'sysctl', key, value: '10000 65000' }],
      },
    })
  },
}

const twReuse = sysctlCheck({
  id: 'net.tw-reuse',
  category: 'network',
  title: 'Ports in TIME_WAIT are used again',
  weight: '-/-/I',
  scope: 'namespace',
  key: 'net.ipv4.tcp_tw_reuse',
  expected: '1 or 2',
  judge: (value) => ({
    ok: value === 1 || value === 2,
    want: '1',
    summary: 'set net.ipv4.tcp_tw_reuse = 1, on machines of clients only',
  }),
})

const buffers: Check = {
  id: 'net.buffers',
  category: 'network',
  title: 'Socket buffers hold what is under way',
  weight: 'I/I/I',
  scope: 'namespace',
  judge(facts) {
    const receive = sysctlOf(facts, 'net.ipv4.tcp_rmem')
    const send = sysctlOf(facts, 'net.ipv4.tcp_wmem')
    if (receive.text === null) return unread(receive)
    if (send.text === null) return unread(send)
    const largest = (text: string) => Number(text.split(/\s+/)[2] ?? Number.NaN)
    const most = Math.min(largest(receive.text), largest(send.text))
    const { rttMs, expectGbps } = facts.plans
    const evidence = [evidenceOf(receive), evidenceOf(send)]
    if (Number.isNaN(most)) {
      return { ...skip('malformed', `${receive.source} says ${receive.text}`), status: 'error' }
    }
    if (rttMs === null) {
      return skip('not-applicable', 'the round-trip time decides: give it with --rtt', {
        actual: measured(most, 'B'),
        evidence,
      })
    }
    const needed = Math.round(((expectGbps * 1e9) / 8) * (rttMs / 1_000))
    return verdict(most >= needed, {
      actual: measured(most, 'B'),
      expected: `≥ ${needed} B: ${expectGbps} Gb/s × ${rttMs} ms`,
      evidence,
      text: 'one connection cannot have more than this under way',
      remedy: { summary: 'set the third value of net.ipv4.tcp_rmem and tcp_wmem to 16777216' },
    })
  },
}

/** Of packets, since boot: below this nobody notices. */
const DROP_SHARE_MAX = 1e-4

const drops: Check = {
  id: 'net.drops',
  category: 'network',
  title: 'Packets and connections are not dropped',
  weight: 'W/W/W',
  scope: 'namespace',
  judge({ counters }) {
    const names = Object.entries(counters.drops).filter(
      ([name]) => name !== 'softnet.squeezed' && name !== 'TcpExt.ListenDrops',
    )
    if (names.length === 0) return skip('absent', '/proc/net tells no counters here')
    const total = names.reduce((sum, [, count]) => sum + count, 0)
    const { windowMs, packets } = counters
    const since = windowMs === null ? 'since boot' : `in ${windowMs / 1_000} s`
    const overflows = counters.drops['TcpExt.ListenOverflows'] ?? 0
    const share = packets === null || packets === 0 ? 0 : total / packets
    const ok = windowMs === null ? share <= DROP_SHARE_MAX && overflows === 0 : total === 0
    return verdict(ok, {
      actual: measured(total, 'drops', `${total} drops ${since}`),
      expected:
        windowMs === null ? '≤ 0.01 % of packets, no listen overflow' : 'none in the window',
      evidence: names
        .filter(([, count]) => count > 0)
        .map(([name, count]) => ({ source: name, value: `${count} ${since}` })),
      text: windowMs === null ? 'counters since boot: --window 5s judges now' : '',
      remedy: {
        summary:
          'look at net.somaxconn (overflows), interrupts (softnet) and ring sizes: ethtool -g',
      },
    })
  },
}

/** TCP payload on Ethernet with an MTU of 1500: 1448 of 1538 bytes on the wire. */
const PAYLOAD_SHARE = 1_448 / 1_538

const nicSpeed: Check = {
  id: 'nic.speed',
  category: 'network',
  title: 'Speed of the network link',
  weight: 'W/W/W',
  scope: 'host',
  judge({ network, plans }) {
    const up = network.links.filter((link) => link.up)
    if (up.length === 0) return skip('absent', 'no network link is up')
    const known = up.filter((link) => link.speedMbps !== null)
    const best = known.reduce<LinkFacts | null>(
      (one, link) => ((link.speedMbps ?? 0) > (one?.speedMbps ?? -1) ? link : one),
      null,
    )
    const speed = best?.speedMbps ?? null
    if (best === null || speed === null) {
      return skip(
        'unknown',
        `${up.map((link) => link.name).join(', ')} tells no speed (virtual link)`,
      )
    }
    const half = best.duplex === 'half'
    const megabytes = ((speed / 8) * PAYLOAD_SHARE).toFixed(0)
    return verdict(speed >= plans.expectGbps * 1_000 && !half, {
      actual: measured(
        speed,
        'Mb/s',
        `${best.name} ${best.speedMbps} Mb/s ${best.duplex ?? ''}`.trim(),
      ),
      expected: `≥ ${plans.expectGbps} Gb/s, full duplex`,
      evidence: [{ source: `/sys/class/net/${best.name}/speed`, value: String(best.speedMbps) }],
      text: `about ${megabytes} MB/s of payload, shared by replicas and consumer groups: usable ingress = ${megabytes} / (replicas + groups) MB/s`,
      remedy: {
        summary: half ? 'check cable and switch: the link is half duplex' : 'a faster link',
      },
    })
  },
}

const nicIrq: Check = {
  id: 'nic.irq',
  category: 'network',
  title: 'Interrupts of a fast link are spread',
  weight: 'I/I/I',
  scope: 'host',
  judge({ network }) {
    const fast = network.links.filter(
      (link) => link.physical && (link.speedMbps ?? 0) >= 10_000 && link.irqCpus !== null,
    )
    const link = fast[0]
    if (link === undefined) {
      return skip('not-applicable', 'no physical link of 10 Gb/s or more with visible interrupts')
    }
    return verdict((link.irqCpus ?? 0) > 1, {
      actual: measured(
        link.irqCpus,
        'CPUs',
        `${link.name}: ${link.receiveQueues} queues on ${link.irqCpus} CPUs`,
      ),
      expected: 'more than one CPU',
      evidence: [
        { source: `/sys/class/net/${link.name}/device/msi_irqs`, value: `${link.irqCpus} CPUs` },
      ],
      text: 'advice only: which CPUs depends on the machine',
      remedy: { summary: 'run irqbalance, or more queues: ethtool -L' },
    })
  },
}

export const networkChecks: readonly Check[] = [
  somaxconn,
  synBacklog,
  portRange,
  twReuse,
  buffers,
  drops,
  nicSpeed,
  nicIrq,
]
