/** What the calls for workflows have in common: which workflow, and asking it at its home. */
import type { Context } from 'hono'
import type { Resource } from '#/core/resources.ts'
import { bytesOf } from '#/core/store-body.ts'
import { VendorError } from './envelope.ts'
import type { WorkflowRoutesParts } from './workflows.ts'

export const workflowsPath = '/accounts/:account/workflows'

/** wrangler takes 10200 for «there is none yet». */
export function requireWorkflow(c: Context, { control }: Pick<WorkflowRoutesParts, 'control'>): Resource {
  const asked = c.req.param('workflow')!
  const found = control.resources('workflow').find(({ name }) => name === asked)
  if (found === undefined) throw new VendorError(404, 10200, 'workflows.api.error.workflow_not_found')
  return found
}

/** By what a workflow's home refuses: `instance.not_found` has the vendor's number, the others are near it. */
const refusals: Readonly<Record<string, readonly [status: number, code: number]>> = {
  'instance.not_found': [404, 10400],
  'instance.already_exists': [409, 10401],
  'instance.invalid_id': [400, 10402],
  'instance.cannot_terminate': [409, 10403],
  'instance.cannot_pause': [409, 10404],
  'instance.cannot_resume': [409, 10405],
  'instance.cannot_restart': [409, 10406],
  'instance.cannot_send_event': [409, 10407],
}

/** Throws a `VendorError` with what its home refuses, an `EdgeError` where that cannot be asked. */
export async function askWorkflow<Answer>(
  { homed }: Pick<WorkflowRoutesParts, 'homed'>,
  { id }: Resource,
  operation: string,
  wish: object,
): Promise<Answer> {
  const body = Buffer.from(JSON.stringify(wish))
  const answer = await homed.call({ kind: 'workflow', id, operation, body })
  const told = JSON.parse((await bytesOf(answer.body)).toString()) as
    | { answer: Answer }
    | { refused: { code: string; message: string } }
  if (!('refused' in told)) return told.answer
  const { code, message } = told.refused
  const [status, number] = refusals[code] ?? [400, 10001]
  throw new VendorError(status, number, code === 'body' ? message : `workflows.api.error.${code}: ${message}`)
}
