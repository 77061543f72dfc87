/** Cloudflare's calls for workflows (https://developers.cloudflare.com/api/resources/workflows/), as wrangler makes them. */
import { randomUUID } from 'node:crypto'
import { Hono } from 'hono'
import { z } from 'zod'
import type { Control } from '#/control/control.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { Resource } from '#/core/resources.ts'
import { ok, VendorError } from './envelope.ts'
import { readJson } from './read-json.ts'
import { workflowName } from './wire-bindings.ts'
import { instanceRoutes } from './workflow-instances.ts'
import { askWorkflow, requireWorkflow, workflowsPath } from './workflow-request.ts'
import { jurisdictionCountries, readWorkflowSettings, workflowSettings } from './workflow-wish.ts'

export interface WorkflowRoutesParts {
  readonly control: Pick<
    Control,
    'resources' | 'createResource' | 'changeResource' | 'removeResource' | 'setPlacement' | 'findProgram' | 'version'
  >
  readonly homed: Pick<HomedStores, 'call'>
  readonly limits: Limits
}

export function workflowRoutes(parts: WorkflowRoutesParts): Hono {
  const app = new Hono()
  resourceRoutes(app, parts)
  instanceRoutes(app, parts)
  return app
}

const pageQuery = z.object({
  page: z.coerce.number().int().min(1).default(1),
  per_page: z.coerce.number().int().min(1).max(100).default(10),
})

function resourceRoutes(app: Hono, parts: WorkflowRoutesParts): void {
  const { control, limits } = parts
  const wish = z.strictObject({
    script_name: z.string().min(1),
    class_name: z.string().min(1),
    ...workflowSettings,
  })

  /** After an upload that binds or exports it: makes it, or gives it to another class. */
  app.put(`${workflowsPath}/:workflow`, async (c) => {
    const name = c.req.param('workflow')
    if (!workflowName.test(name))
      throw new VendorError(
        400,
        10001,
        `Workflow name "${name.slice(0, 80)}" is invalid: letters, digits, - and _, 64 at most.`,
      )
    const given = await readJson(c, wish, limits.metadataBytes)
    const { script_name: program, class_name: className, ...asked } = given
    const set = readWorkflowSettings(asked, limits)
    if (control.findProgram(program) === undefined)
      throw new VendorError(
        404,
        10007,
        `workflows.api.error.script_not_found: there is no Worker '${program.slice(0, 80)}'.`,
      )
    await requireClass(control, program, className)
    const settings = { program, className, ...set }
    const known = control.resources('workflow').find((one) => one.name === name)
    const kept =
      known === undefined
        ? await makeWorkflow(control, name, settings)
        : await control.changeResource(known, (now) => ({ settings: withJurisdiction(name, settings, now) }))
    return ok(c, { ...shown(kept), version_id: await versionOf(parts, kept), is_deleted: 0 })
  })

  app.get(workflowsPath, (c) => {
    const { page, per_page } = pageQuery.parse(c.req.query())
    const all = control.resources('workflow')
    const some = all.slice((page - 1) * per_page, page * per_page)
    const result_info = { page, per_page, count: some.length, total_count: all.length }
    return ok(
      c,
      some.map((one) => ({ ...shown(one), instances: {} })),
      { result_info },
    )
  })

  app.get(`${workflowsPath}/:workflow`, async (c) => {
    const found = requireWorkflow(c, parts)
    const counts = await askWorkflow<Record<string, number>>(parts, found, 'counts', {})
    return ok(c, { ...shown(found), instances: counts })
  })

  app.get(`${workflowsPath}/:workflow/versions`, async (c) => {
    const found = requireWorkflow(c, parts)
    const { created_on, modified_on, class_name } = shown(found)
    const id = await versionOf(parts, found)
    return ok(c, [{ id, workflow_id: found.id, created_on, modified_on, class_name }])
  })

  app.delete(`${workflowsPath}/:workflow`, async (c) => {
    const { id, kind } = requireWorkflow(c, parts)
    await control.removeResource({ kind, id })
    await control.setPlacement({ kind: 'workflow', id }, undefined)
    return ok(c, { status: 'ok', success: true })
  })
}

/** Throws a `VendorError` where what serves exports no such class. */
async function requireClass(control: WorkflowRoutesParts['control'], program: string, className: string) {
  const serving = control.findProgram(program)?.rollouts[0]?.parts[0]?.version
  const exports = serving === undefined ? [] : (await control.version(program, serving)).exports
  if (exports.some(({ name, kind }) => name === className && kind === 'workflow')) return
  throw new VendorError(
    400,
    10001,
    `workflows.api.error.class_not_found: '${program.slice(0, 80)}' exports no class '${className.slice(0, 80)}' that extends WorkflowEntrypoint.`,
  )
}

type Settings = Readonly<Record<string, unknown>> & { readonly jurisdiction?: string }

/** Its countries stand before it does, so that nothing of it ever lies elsewhere. */
async function makeWorkflow(control: WorkflowRoutesParts['control'], name: string, settings: Settings) {
  const { jurisdiction } = settings
  if (jurisdiction === undefined) return control.createResource({ kind: 'workflow', name, settings })
  const id = randomUUID()
  await control.setPlacement({ kind: 'workflow', id }, jurisdictionCountries(jurisdiction))
  try {
    return await control.createResource({ kind: 'workflow', id, name, settings })
  } catch (error) {
    await control.setPlacement({ kind: 'workflow', id }, undefined)
    throw error
  }
}

/** A jurisdiction is for good; where none is named the one that was set stays. */
function withJurisdiction(name: string, settings: Settings, now: Resource): Settings {
  const { jurisdiction } = now.settings as Settings
  if (settings.jurisdiction !== undefined && settings.jurisdiction !== jurisdiction)
    throw new VendorError(
      400,
      10209,
      `workflows.api.error.jurisdiction_immutable: the jurisdiction of "${name}" was set when it was made and cannot be changed.`,
    )
  return { ...settings, ...(jurisdiction !== undefined && { jurisdiction }) }
}

function shown({ id, name, createdAt, modifiedAt, settings }: Resource) {
  return {
    id,
    name,
    script_name: settings.program,
    class_name: settings.className,
    created_on: new Date(createdAt).toISOString(),
    modified_on: new Date(modifiedAt).toISOString(),
  }
}

/** Instances go on with what is deployed: that version is the workflow's. */
export async function versionOf({ control }: WorkflowRoutesParts, { id, settings }: Resource): Promise<string> {
  const record = control.findProgram(String(settings.program))
  return record?.rollouts[0]?.parts[0]?.version ?? id
}
