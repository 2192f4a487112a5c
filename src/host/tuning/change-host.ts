/** Plan, render, apply and rollback as commands ask for them: for this host, a tree, or a facts file. */
import { MqError } from '../../base/errors.ts'
import type { Clock } from '../../world/clock.ts'
import { applyPlan, rollback, type ApplyResult, type RollbackResult } from './apply.ts'
import { NodeHostFiles } from './host-files.ts'
import { NodeHostWriter } from './host-writer.ts'
import { planOf, recommended, type Plan } from './plan.ts'
import { render, type RenderFormat } from './render.ts'
import { answer, type TuningRequest } from './request.ts'
import { selected } from './registry.ts'
import { unitName } from './unit-facts.ts'

export async function planFor(
  clock: Clock,
  request: TuningRequest,
  anyUnit = false,
): Promise<{ plan: Plan }> {
  const { facts, options } = await answer(clock, request)
  const plan = planOf(new NodeHostFiles(request.sysroot), facts, { ...options, anyUnit })
  return { plan }
}

export async function renderFor(
  clock: Clock,
  request: TuningRequest,
  format: RenderFormat,
  all: boolean,
): Promise<string> {
  const unit = request.unit === undefined ? null : unitName(request.unit)
  if (all) {
    const { only, skip, profile } = request
    const changes = recommended({
      profile,
      ...(only === undefined ? {} : { only: selected(only, '--only') }),
      ...(skip === undefined ? {} : { skip: selected(skip, '--skip') }),
    })
    return render(format, changes, unit)
  }
  const { plan } = await planFor(clock, request, true)
  return render(
    format,
    plan.changes.filter(({ persist }) => persist),
    unit,
  )
}

/** Throws TUNING_NOT_PERMITTED before anybody is asked a question. */
export function checkMayApply(request: TuningRequest): void {
  const { uid, needsRoot } = who(request.sysroot)
  if (!needsRoot || uid === 0) return
  throw new MqError('TUNING_NOT_PERMITTED', {
    what: 'changing system settings needs root',
    hint: 'run it with sudo, or give the output of mqctl tune-os render to somebody who may',
  })
}

export function applyFor(clock: Clock, request: TuningRequest, plan: Plan): ApplyResult {
  return applyPlan(new NodeHostWriter(request.sysroot), plan, {
    tool: `mqctl ${request.version}`,
    now: new Date(clock.wallMs()).toISOString(),
    ...who(request.sysroot),
  })
}

export function rollbackFor(
  sysroot: string | undefined,
  options: { readonly all: boolean; readonly force: boolean },
): RollbackResult {
  return rollback(new NodeHostWriter(sysroot), { ...options, ...who(sysroot) })
}

function who(sysroot: string | undefined): { uid: number; needsRoot: boolean } {
  return {
    uid: process.geteuid?.() ?? 0,
    needsRoot: sysroot === undefined || sysroot === '/',
  }
}
