/** Calls for instances of a workflow: list, describe, trigger, change, delete. */
import type { Hono } from 'hono'
import { z } from 'zod'
import { encodeJson, showValue } from '#/core/workflow-values.ts'
import { ok } from './envelope.ts'
import { readJson } from './read-json.ts'
import { askWorkflow, requireWorkflow, workflowsPath } from './workflow-request.ts'
import { versionOf, type WorkflowRoutesParts } from './workflows.ts'

const instancesPath = `${workflowsPath}/:workflow/instances`

const statuses = [
  ...(['queued', 'running', 'paused', 'errored', 'terminated', 'complete', 'waiting', 'waitingForPause'] as const),
] as const

const listQuery = z.object({
  page: z.coerce.number().int().min(1).default(1),
  per_page: z.coerce.number().int().min(1).max(100).default(50),
  status: z.enum(statuses).optional(),
  cursor: z.string().regex(/^\d+$/).optional(),
})

const trigger = z.strictObject({
  instance_id: z.string().optional(),
  params: z.unknown(),
})

const change = z.strictObject({
  status: z.enum(['pause', 'resume', 'restart', 'terminate']),
  from: z
    .strictObject({
      name: z.string(),
      count: z.int().min(1).optional(),
      type: z.enum(['do', 'sleep', 'waitForEvent']).optional(),
    })
    .optional(),
  rollback: z.boolean().optional(),
})

interface Head {
  readonly id: string
  readonly status: (typeof statuses)[number]
  readonly created: number
  readonly modified: number
  readonly started: number | null
  readonly ended: number | null
}

type ToldError = { readonly name: string; readonly message: string } | null

interface StepLog {
  readonly type: 'do' | 'sleep' | 'wait'
  readonly name: string
  readonly count: number
  readonly started: number
  readonly ended: number | null
  readonly state: 'running' | 'pending' | 'done' | 'failed'
  readonly due: number | null
  readonly config: { readonly sensitive?: string } | null
  readonly output: string | null
  readonly error: ToldError
  readonly attempts: readonly { readonly started: number; readonly ended: number | null; readonly error: ToldError }[]
}

interface InstanceLog extends Head {
  readonly params: string
  readonly source: string
  readonly output: string | null
  readonly error: ToldError
  readonly steps: readonly StepLog[]
}

export function instanceRoutes(app: Hono, parts: WorkflowRoutesParts): void {
  readRoutes(app, parts)
  changeRoutes(app, parts)
}

function readRoutes(app: Hono, parts: WorkflowRoutesParts): void {
  app.on('GET', [instancesPath, `${instancesPath}/`], async (c) => {
    const found = requireWorkflow(c, parts)
    const { page, per_page: per, status, cursor } = listQuery.parse(c.req.query())
    const offset = cursor === undefined ? (page - 1) * per : Number(cursor)
    const wish = { per, offset, ...(status !== undefined && { status }) }
    const { instances, total } = await askWorkflow<{ instances: Head[]; total: number }>(parts, found, 'list', wish)
    const version = await versionOf(parts, found)
    const next = offset + instances.length
    const result_info = {
      ...{ page, per_page: per, count: instances.length, total_count: total },
      ...(next < total && { cursor: String(next), next_cursor: String(next) }),
    }
    return ok(
      c,
      instances.map((one) => shownHead(one, found.id, version)),
      { result_info },
    )
  })

  app.get(`${instancesPath}/:instance`, async (c) => {
    const found = requireWorkflow(c, parts)
    const log = await askWorkflow<InstanceLog>(parts, found, 'describe', { id: c.req.param('instance') })
    return ok(c, shownLog(log, await versionOf(parts, found)))
  })
}

function changeRoutes(app: Hono, parts: WorkflowRoutesParts): void {
  const { limits } = parts
  const bodyBytes = limits.workflowRequestBytes

  async function create(found: ReturnType<typeof requireWorkflow>, wishes: z.infer<typeof trigger>[], batch: boolean) {
    const instances = wishes.map(({ instance_id: id, params = {} }) => ({
      ...(id !== undefined && { id }),
      params: encodeJson(params),
    }))
    const made = await askWorkflow<{ id: string }[]>(parts, found, batch ? 'create-batch' : 'create', { instances })
    const version_id = await versionOf(parts, found)
    return made.map(({ id }) => ({ id, version_id, workflow_id: found.id, status: 'queued' }))
  }

  app.post(instancesPath, async (c) => {
    const found = requireWorkflow(c, parts)
    const [made] = await create(found, [await readJson(c, trigger, bodyBytes)], false)
    return ok(c, made)
  })

  app.post(`${instancesPath}/batch`, async (c) => {
    const found = requireWorkflow(c, parts)
    return ok(c, await create(found, await readJson(c, z.array(trigger), bodyBytes), true))
  })

  app.post(`${instancesPath}/batch/delete`, async (c) => {
    const found = requireWorkflow(c, parts)
    const wish = await readJson(c, z.strictObject({ instances: z.array(z.string()) }), limits.metadataBytes)
    return ok(c, await askWorkflow(parts, found, 'delete', wish))
  })

  app.put(`${instancesPath}/terminate`, async (c) => {
    const found = requireWorkflow(c, parts)
    const { status } = listQuery.parse(c.req.query())
    await askWorkflow(parts, found, 'terminate-all', status === undefined ? {} : { status })
    return ok(c, { status: 'ok' })
  })

  app.patch(`${instancesPath}/:instance/status`, async (c) => {
    const found = requireWorkflow(c, parts)
    const { status, ...rest } = await readJson(c, change, limits.metadataBytes)
    const id = c.req.param('instance')
    await askWorkflow(parts, found, status, { id, ...rest })
    const told = await askWorkflow<{ status: string }>(parts, found, 'status', { id })
    return ok(c, { status: told.status, timestamp: new Date().toISOString() })
  })

  app.post(`${instancesPath}/:instance/events/:type`, async (c) => {
    const found = requireWorkflow(c, parts)
    const payload = encodeJson(await readJson(c, z.unknown(), bodyBytes))
    await askWorkflow(parts, found, 'event', { id: c.req.param('instance'), type: c.req.param('type'), payload })
    return ok(c, null)
  })
}

const time = (at: number | null) => (at === null ? null : new Date(at).toISOString())

function shownHead({ id, status, created, modified, started, ended }: Head, workflow_id: string, version_id: string) {
  const times = {
    created_on: time(created),
    modified_on: time(modified),
    started_on: time(started),
    ended_on: time(ended),
  }
  return { id, status, workflow_id, version_id, ...times }
}

function shownLog(log: InstanceLog, versionId: string): object {
  const { status, params, source, created, started, ended, output, error, steps } = log
  return {
    ...{ status, versionId, error },
    params: showValue(params),
    trigger: { source },
    queued: time(created),
    start: time(started),
    end: time(ended),
    success: status === 'complete' ? true : status === 'errored' || status === 'terminated' ? false : null,
    output: output === null ? null : (showValue(output) ?? null),
    step_count: steps.length,
    steps: [
      ...steps.map(shownStep),
      ...(status === 'terminated' ? [{ type: 'termination', trigger: { source: 'api' } }] : []),
    ],
  }
}

function shownStep({ type, state, config, error, ...step }: StepLog): object {
  const common = { name: `${step.name}-${step.count}`, start: time(step.started), end: time(step.ended) }
  const isOver = state === 'done' || state === 'failed'
  if (type === 'sleep')
    return { ...common, type: 'sleep', end: common.end ?? time(step.due), finished: isOver, error: null }
  const kept = step.output === null ? null : showValue(step.output)
  if (type === 'wait') return { ...common, type: 'waitForEvent', finished: isOver, error, output: kept }
  const attempts = step.attempts.map(({ started, ended, error: thrown }) => ({
    ...{ start: time(started), end: time(ended), error: thrown },
    success: ended === null ? null : thrown === null,
  }))
  const output = config?.sensitive === 'output' ? '[REDACTED]' : kept
  const success = isOver ? state === 'done' : null
  return { ...common, type: 'step', config, attempts, output, success }
}
