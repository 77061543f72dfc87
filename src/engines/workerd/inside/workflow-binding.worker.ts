/**
 * What the runtime's own binding of workflows asks (workerd: src/cloudflare/internal/workflows-api.ts), passed on to the
 * workflow's home.
 */
import { WorkerEntrypoint } from 'cloudflare:workers'
import { durationMs } from './workflow-steps.worker.ts'
import { decodeValue, encodeValue, toError } from './workflow-values.worker.ts'

interface Environment {
  readonly wire: Fetcher
}

interface CreateWish {
  readonly id?: unknown
  readonly params?: unknown
  readonly retention?: { readonly successRetention?: unknown; readonly errorRetention?: unknown }
  readonly locationHint?: unknown
}

interface BatchWish extends CreateWish {
  readonly count?: unknown
  readonly instances?: unknown
}

interface BatchTold {
  readonly created: { id: string }[]
  readonly errors: { index: number; id: string; code: number; message: string }[]
}

const batchInstances = 100
const alreadyThere = { code: 10_401, message: 'workflows.api.error.instance.already_exists' }

interface Told {
  readonly status: string
  readonly output: string | null
  readonly error?: { readonly name: string; readonly message: string }
}

function workflowError(code: string, message: string): Error {
  return toError({ name: 'WorkflowError', message: `(${code}) ${message}` })
}

function readWish(wish: CreateWish = {}): object {
  const { id, params = {}, retention } = wish
  return {
    ...(id !== undefined && { id }),
    params: encodeValue(params),
    ...keptFor('success', retention?.successRetention),
    ...keptFor('error', retention?.errorRetention),
  }
}

/** `{ count, … }` or `{ instances }` as a list in which everyone has an id. */
function readBatch({ count, instances, ...each }: BatchWish): (CreateWish & { readonly id: string })[] {
  const listed =
    instances ?? (typeof count === 'number' && count <= batchInstances ? Array(count).fill(each) : undefined)
  if (!Array.isArray(listed) || (count === undefined) === (instances === undefined))
    throw workflowError('body', 'Provided argument is invalid')
  return (listed as CreateWish[]).map((wish) => ({ ...wish, id: (wish.id ?? crypto.randomUUID()) as string }))
}

function keptFor(end: 'success' | 'error', given: unknown): object {
  if (given === undefined) return {}
  const ms = durationMs(given)
  if (!(ms >= 0)) throw workflowError('body', `${end}Retention is invalid`)
  return { [`${end}Ms`]: ms }
}

export default class Workflow extends WorkerEntrypoint<Environment> {
  async create(wish?: CreateWish): Promise<{ id: string }> {
    const [made] = await this.#ask<{ id: string }[]>('create', { instances: [readWish(wish)] })
    return made!
  }

  /** A list leaves out whom there was already; an object is told of them. */
  async createBatch(batch: CreateWish[] | BatchWish): Promise<{ id: string }[] | BatchTold> {
    if (Array.isArray(batch)) return this.#ask('create-batch', { instances: batch.map(readWish) })
    const wishes = readBatch(batch)
    const created = await this.#ask<{ id: string }[]>('create-batch', { instances: wishes.map(readWish) })
    const made = new Set(created.map(({ id }) => id))
    const errors = wishes.flatMap(({ id }, index) => (made.has(id) ? [] : [{ index, id, ...alreadyThere }]))
    return { created, errors }
  }

  getInstance(id: string): Promise<{ id: string }> {
    return this.#ask('get', { id })
  }

  subscribe(): never {
    throw workflowError('unsupported', 'subscribe() is not supported by Rimward: ask status()')
  }

  async status(id: string): Promise<object> {
    const { status, output, error } = await this.#ask<Told>('status', { id })
    return { status, output: output === null ? null : decodeValue(output), ...(error !== undefined && { error }) }
  }

  async pause(id: string): Promise<void> {
    await this.#ask('pause', { id })
  }

  async resume(id: string): Promise<void> {
    await this.#ask('resume', { id })
  }

  async terminate(id: string, options?: { readonly rollback?: boolean }): Promise<void> {
    await this.#ask('terminate', { id, rollback: options?.rollback === true })
  }

  async restart(id: string, options?: { readonly from?: object }): Promise<void> {
    await this.#ask('restart', { id, from: options?.from })
  }

  async sendEvent(id: string, { type, payload }: { readonly type: unknown; readonly payload: unknown }): Promise<void> {
    await this.#ask('event', { id, type, payload: encodeValue(payload) })
  }

  async deleteInstance(id: string): Promise<void> {
    const { errors } = await this.#ask<{ errors: unknown[] }>('delete', { instances: [id] })
    if (errors.length > 0) throw workflowError('instance.not_found', 'Instance does not exist')
  }

  deleteBatch({ instances }: { readonly instances: unknown }): Promise<object> {
    return this.#ask('delete', { instances })
  }

  async #ask<Answer>(operation: string, wish: object): Promise<Answer> {
    const body = JSON.stringify(wish)
    const response = await this.env.wire.fetch(`http://workflow/${operation}`, { method: 'POST', body })
    if (!response.ok) throw workflowError('internal', await response.text())
    const told = (await response.json()) as { answer: Answer } | { refused: { code: string; message: string } }
    if ('refused' in told) throw workflowError(told.refused.code, told.refused.message)
    return told.answer
  }
}
