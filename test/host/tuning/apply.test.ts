import { describe, expect, it } from 'vitest'
import { MqError } from '../../../src/base/errors.ts'
import { applyPlan, rollback, type ApplyOptions } from '../../../src/host/tuning/apply.ts'
import type { Profile } from '../../../src/host/tuning/check.ts'
import { planOf, type Plan } from '../../../src/host/tuning/plan.ts'
import { planResult } from '../../../src/host/tuning/plan-result.ts'
import { render } from '../../../src/host/tuning/render.ts'
import { selected } from '../../../src/host/tuning/registry.ts'
import { factsOf, nowMs } from './judging.ts'
import { MemoryHost } from './memory-files.ts'

const asRoot: ApplyOptions = {
  tool: 'mqctl 0.0.0',
  now: '2026-06-01T12:00:00.000Z',
  uid: 0,
  needsRoot: true,
}
const back = { uid: 0, needsRoot: true, all: false, force: false }

/** A machine with the values it came with, as root sees it; its unit asks for few files. */
function untuned(): MemoryHost {
  const host = MemoryHost.fixture('kvm-virtio')
  host.identity = { ...host.identity, uid: 0 }
  for (const directory of ['/etc/sysctl.d', '/etc/tmpfiles.d', '/var/lib'])
    host.set(`${directory}/README`, '')
  return host.set('/etc/systemd/system/mq.service', '[Service]\nLimitNOFILE=1024\n')
}

async function planned(
  host: MemoryHost,
  only?: string[],
  profile: Profile = 'jvm-broker',
): Promise<Plan> {
  const facts = await factsOf(host, { unit: 'mq.service' })
  const chosen = only === undefined ? {} : { only: selected(only, '--only') }
  return planOf(host, facts, { profile, version: '0.0.0', nowMs, ...chosen })
}

async function apply(host: MemoryHost, only?: string[]) {
  return applyPlan(host.writer, await planned(host, only), asRoot)
}

class Killed extends Error {}

/** From this step on nothing happens any more, as after kill -9. Counts the steps otherwise. */
function killAt(host: MemoryHost, step: number): { steps: string[] } {
  const seen: string[] = []
  host.beforeStep = (name) => {
    if (seen.length >= step) throw new Killed(name)
    seen.push(name)
  }
  return { steps: seen }
}

function live(host: MemoryHost) {
  host.beforeStep = () => undefined
}

describe('a rendering for nobody in particular', () => {
  it('has the limits of the unit, whose name is to be filled in', async () => {
    const host = untuned().set(
      `/proc/${untuned().identity.parentPid}/limits`,
      'Max open files            1024                 1024                 files\n',
    )
    const facts = await factsOf(host)
    const options = { profile: 'jvm-broker' as const, version: '0.0.0', nowMs }
    const { changes } = planOf(host, facts, { ...options, anyUnit: true })
    const text = render('systemd', changes, null)
    expect(text).toContain('/etc/systemd/system/your-broker.service.d/90-mqctl.conf')
    expect(planOf(host, facts, options).changes.some(({ change }) => change.kind === 'unit')).toBe(
      false,
    )
  })
})

describe('plan', () => {
  it('shows a unified diff of files of its own, and commands', async () => {
    const result = planResult(await planned(untuned()))
    expect(result.files.map(({ path }) => path)).toEqual([
      '/etc/sysctl.d/90-mqctl.conf',
      '/etc/tmpfiles.d/90-mqctl.conf',
      '/etc/systemd/system/mq.service.d/90-mqctl.conf',
    ])
    expect(result.diff).toContain('--- /dev/null\n+++ /etc/sysctl.d/90-mqctl.conf\n@@ -0,0 +1,')
    expect(result.diff).toContain('\n+vm.max_map_count = 655360\n')
    expect(result.commands).toContain('sysctl -w vm.swappiness=1')
    expect(result.afterwards).toEqual(['systemctl daemon-reload && systemctl restart mq.service'])
  })

  it('never lowers what is better', async () => {
    const host = untuned().set('/proc/sys/vm/max_map_count', '1048575\n')
    const result = planResult(await planned(host, ['vm.max-map-count']))
    expect(result.pending).toBe(false)
  })

  it('makes a right value last that would be lost at reboot', async () => {
    const host = untuned().set('/proc/sys/vm/swappiness', '5\n')
    const result = planResult(await planned(host, ['vm.swappiness', 'persist.drift']))
    expect(result.files[0]?.after).toContain('vm.swappiness = 5')
    expect(result.values.filter(({ name }) => name === 'vm.swappiness')).toEqual([])
  })

  it('keeps a right live value although a file would set a wrong one at boot', async () => {
    const host = untuned()
      .set('/proc/sys/net/core/somaxconn', '8192\n')
      .set('/etc/sysctl.d/70-local.conf', 'net.core.somaxconn = 128\n')
    const result = planResult(await planned(host, ['net.somaxconn', 'persist.drift']))
    const own = result.values.filter(({ name }) => name === 'net.core.somaxconn')
    expect(own).toEqual([])
    expect(result.files[0]?.after).toContain('net.core.somaxconn = 8192')
  })

  it('sets the value of the file that already says it, and writes no other', async () => {
    const host = untuned().set('/etc/sysctl.d/99-local.conf', 'vm.swappiness = 10\n')
    const result = planResult(await planned(host, ['vm.swappiness']))
    expect(result.values).toMatchObject([{ name: 'vm.swappiness', before: '60\n', after: '10' }])
    expect(result.files).toEqual([])
  })

  it('asks for nothing in a container that belongs to the host', async () => {
    const host = MemoryHost.fixture('container-cgroup-v1')
    const facts = await factsOf(host, { pid: 1 })
    const plan = planOf(host, facts, { profile: 'jvm-broker', version: '0.0.0', nowMs })
    expect(planResult(plan).pending).toBe(false)
  })
})

describe('apply', () => {
  it('sets and keeps every value, and reads each back', async () => {
    const host = untuned()
    const result = await apply(host)
    expect(result.ok).toBe(true)
    expect(result.values.map(({ name, now }) => [name, now])).toEqual([
      ['vm.swappiness', '1'],
      ['vm.max_map_count', '655360'],
      ['vm.dirty_background_bytes', '268435456'],
      ['/sys/kernel/mm/transparent_hugepage/enabled', 'always [madvise] never'],
      ['net.ipv4.tcp_max_syn_backlog', '4096'],
    ])
    expect(host.read('/etc/systemd/system/mq.service.d/90-mqctl.conf').text).toContain(
      '[Service]\nLimitNOFILE=655350\n',
    )
  })

  it('changes nothing the second time', async () => {
    const host = untuned()
    await apply(host)
    const before = host.snapshot()
    const again = await apply(host)
    expect(again.applied).toBe(false)
    expect(host.snapshot()).toEqual(before)
  })

  it('then rollback: every byte and every value as before', async () => {
    const host = untuned()
    const before = host.snapshot()
    await apply(host)
    const result = rollback(host.writer, back)
    expect(result.undone).toBe(1)
    expect(host.snapshot()).toEqual(before)
  })

  it('adds to its own file, and rollback gives back what was in it', async () => {
    const host = untuned()
    await apply(host, ['vm.swappiness'])
    const between = host.snapshot()
    await apply(host, ['vm.max-map-count'])
    const text = host.read('/etc/sysctl.d/90-mqctl.conf').text ?? ''
    expect(text).toMatch(/vm\.swappiness = 1\n[^]*vm\.max_map_count = 655360\n/)
    rollback(host.writer, back)
    expect(host.snapshot()).toEqual(between)
  })

  it('rolls back everything with --all, newest first', async () => {
    const host = untuned()
    const before = host.snapshot()
    await apply(host, ['vm.dirty-background'])
    await apply(host, ['vm.swappiness', 'limit'])
    expect(rollback(host.writer, { ...back, all: true }).undone).toBe(2)
    expect(host.snapshot()).toEqual(before)
  })

  it('can be rolled back after kill -9 at every step', async () => {
    const dry = untuned()
    const counter = killAt(dry, Number.POSITIVE_INFINITY)
    await apply(dry)
    expect(counter.steps.length).toBeGreaterThan(15)
    for (let step = 0; step < counter.steps.length; step += 1) {
      const host = untuned()
      const before = host.snapshot()
      const plan = await planned(host)
      killAt(host, step)
      try {
        applyPlan(host.writer, plan, asRoot)
      } catch (error) {
        if (!(error instanceof Killed)) throw error
      }
      live(host)
      rollback(host.writer, { ...back, all: true })
      expect({ step: counter.steps[step], tree: host.snapshot() }).toEqual({
        step: counter.steps[step],
        tree: before,
      })
    }
  })

  it('finishes a rollback that was killed, at every step', async () => {
    const dry = untuned()
    await apply(dry)
    const counter = killAt(dry, Number.POSITIVE_INFINITY)
    rollback(dry.writer, back)
    for (let step = 0; step < counter.steps.length; step += 1) {
      const host = untuned()
      const before = host.snapshot()
      await apply(host)
      killAt(host, step)
      expect(() => rollback(host.writer, back)).toThrow(Killed)
      live(host)
      rollback(host.writer, back)
      expect({ step: counter.steps[step], tree: host.snapshot() }).toEqual({
        step: counter.steps[step],
        tree: before,
      })
    }
  })

  it('wants the interrupted one rolled back before it does anything else', async () => {
    const host = untuned()
    const plan = await planned(host)
    killAt(host, 8)
    expect(() => applyPlan(host.writer, plan, asRoot)).toThrow(Killed)
    live(host)
    expect(await refusal(host)).toMatch(/an earlier apply did not finish/)
  })

  it('says which value the kernel did not take', async () => {
    const host = untuned()
    const plan = await planned(host, ['vm.swappiness', 'vm.max-map-count'])
    host.beforeStep = (step) => {
      if (step === 'set /proc/sys/vm/max_map_count') throw new Error('EINVAL: invalid argument')
    }
    const result = applyPlan(host.writer, plan, asRoot)
    expect(result.values.map(({ name, ok }) => [name, ok])).toEqual([
      ['vm.swappiness', true],
      ['vm.max_map_count', false],
    ])
    expect(result.ok).toBe(false)
  })
})

/** What apply says against it; nothing may have changed. */
async function refusal(host: MemoryHost, options = asRoot): Promise<string> {
  const plan = await planned(host)
  const before = host.snapshot()
  let message = 'applied'
  try {
    applyPlan(host.writer, plan, options)
  } catch (error) {
    message = error instanceof MqError ? `${error.exitCode} ${error.message}` : String(error)
  }
  expect(host.snapshot()).toEqual(before)
  return message
}

describe('apply refuses, with nothing half done', () => {
  it('a user who is not root', async () => {
    expect(await refusal(untuned(), { ...asRoot, uid: 1000 })).toMatch(/^3 .*needs root/)
  })

  it('a read-only /proc/sys', async () => {
    const host = untuned()
    host.readOnly.add('/proc/sys/vm/swappiness')
    expect(await refusal(host)).toMatch(/^3 \/proc\/sys\/vm\/swappiness is read-only/)
  })

  it('a key that a later file of somebody else sets', async () => {
    const host = untuned().set('/etc/sysctl.d/99-other.conf', '# theirs\nvm.swappiness = 60\n')
    expect(await refusal(host)).toMatch(/^1 .*99-other\.conf:2 sets vm\.swappiness = 60/)
  })

  it('a file in its place that it did not write', async () => {
    const host = untuned().set('/etc/sysctl.d/90-mqctl.conf', 'vm.swappiness = 30\n')
    expect(await refusal(host)).toMatch(/^1 .*was not written by mqctl/)
  })

  it('a symbolic link on the way', async () => {
    const host = untuned().without('/etc/tmpfiles.d').symlink('/etc/tmpfiles.d', '/tmp/elsewhere')
    expect(await refusal(host)).toMatch(/^1 \/etc\/tmpfiles\.d is a symbolic link/)
  })

  it('a directory that others can write', async () => {
    const host = untuned()
    host.nodes.set('/etc/sysctl.d', { kind: 'directory', text: '', uid: 0, mode: 0o777 })
    expect(await refusal(host)).toMatch(/^1 \/etc\/sysctl\.d can be written by others \(mode 777\)/)
  })

  it('a file of another user', async () => {
    const host = untuned()
    await apply(host, ['vm.swappiness'])
    const text = host.read('/etc/sysctl.d/90-mqctl.conf').text ?? ''
    host.set('/etc/sysctl.d/90-mqctl.conf', text, 0o644, 1000)
    expect(await refusal(host)).toMatch(/^1 .*90-mqctl\.conf belongs to uid 1000/)
  })
})

describe('rollback', () => {
  it('leaves everything when somebody changed a file since', async () => {
    const host = untuned()
    await apply(host)
    host.set('/etc/sysctl.d/90-mqctl.conf', '# edited\n')
    const edited = host.snapshot()
    expect(() => rollback(host.writer, back)).toThrow(/was changed since it was written/)
    expect(host.snapshot()).toEqual(edited)
  })

  it('leaves everything when somebody set a value since, and obeys --force', async () => {
    const host = untuned()
    const before = host.snapshot()
    await apply(host)
    host.set('/proc/sys/vm/swappiness', '33\n')
    expect(() => rollback(host.writer, back)).toThrow(/swappiness is 33 now/)
    rollback(host.writer, { ...back, force: true })
    expect(host.snapshot()).toEqual(before)
  })

  it('has nothing to do where nothing was applied', () => {
    expect(rollback(untuned().writer, back).undone).toBe(0)
  })
})
