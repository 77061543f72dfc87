/** What bindings of workflows and runs of their instances ask: both sides are ours (`inside/workflow-*.worker.ts`). */
import { EdgeError, toEdgeError } from '#/core/errors.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Resource } from '#/core/resources.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { type BackplaneHandler, textAnswer } from './backplane.ts'

interface Parts {
  readonly homed: Pick<HomedStores, 'call'>
  readonly snapshot: () => Snapshot
}

/** What a binding may ask; the home knows more. */
const asked = new Set([
  ...['create', 'create-batch', 'get', 'status', 'pause', 'resume', 'terminate', 'restart', 'event', 'delete'],
])

/**
 * `workflow`: the id is a workflow's name, the path what is asked. `workflow-run`: the id is the program that runs, the path
 * `/WORKFLOW/OPERATION` by the workflow's id; only the program that implements it is answered.
 */
export function workflowHandlers({ homed, snapshot }: Parts): Readonly<Record<string, BackplaneHandler>> {
  function named(name: string): Resource {
    for (const resource of snapshot().resources?.values() ?? [])
      if (resource.kind === 'workflow' && resource.name === name) return resource
    throw new EdgeError('store_unknown', `There is no workflow ${name}.`)
  }

  async function ask(id: string, operation: string, body: Buffer, signal: AbortSignal) {
    const told = await homed.call({ kind: 'workflow', id, operation, head: { source: 'binding' }, body, signal })
    return { status: 200, headers: ['content-type', 'application/json'], body: told.body }
  }

  return {
    async workflow({ id, url, body, signal }) {
      const operation = url.slice(1)
      if (!asked.has(operation)) return textAnswer(404, 'There is nothing here.')
      const wish = Buffer.concat((await body?.toArray()) ?? [])
      try {
        return await ask(named(id).id, operation, wish, signal)
      } catch (thrown) {
        return textAnswer(503, toEdgeError(thrown).message)
      }
    },
    async 'workflow-run'({ id: program, url, body, signal }) {
      const [, workflow = '', operation = ''] = url.split('/')
      const resource = snapshot().resources?.get(`workflow/${workflow}`)
      if (resource?.settings.program !== program) return textAnswer(404, 'The program runs no such workflow.')
      return ask(workflow, operation, Buffer.concat((await body?.toArray()) ?? []), signal)
    },
  }
}
