/**
 * Workflows that live at this node: a folder each, asked through `HomedStores`. All bodies are JSON; the head of a call says
 * its `source`: `binding`, or the API.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HomedStore } from '#/core/homed-store.ts'
import type { StoreAnswer, StoreCall } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { Resource } from '#/core/resources.ts'
import type { Clock, Milliseconds } from '#/core/units.ts'
import type { InstanceCall, RunCall } from './answer-call.ts'
import { type Instances, openInstancesThread } from './ask-instances.ts'
import type { CreateWish } from './change-instances.ts'
import { type ConductorParts, createConductor } from './conductor.ts'
import { WorkflowRefusal } from './refusals.ts'
import type { Claimed } from './run-instances.ts'

export interface WorkflowStoreOptions {
  /** Of this store alone; made when it is needed. */
  readonly folder: string
  /** `undefined`: not known here (any more). */
  readonly resource: (id: string) => Resource | undefined
  /** Is anything of the program deployed? While nothing is, its workflows rest. */
  readonly isDeployed: (program: string) => boolean
  readonly deliver: ConductorParts['deliver']
  readonly limits: Limits
  readonly clock: Clock
  readonly log: ConductorParts['log']
}

/** What a workflow's resource holds as its settings. */
export interface WorkflowSettings {
  readonly program: string
  readonly className: string
  /** Steps of one instance; absent: as many as the table of limits says. */
  readonly steps?: number
  /** Instances that run at once. */
  readonly atOnce?: number
  readonly crons?: readonly string[]
  /** How long finished instances are kept that say nothing themselves. */
  readonly successMs?: Milliseconds
  readonly errorMs?: Milliseconds
}

export const settingsOf = ({ settings }: Resource): WorkflowSettings => settings as unknown as WorkflowSettings

/** Operations that change what an instance's run sees. */
const heard = ['pause', 'resume', 'terminate', 'restart', 'event']

export async function openWorkflowStore(options: WorkflowStoreOptions): Promise<HomedStore> {
  const { folder, limits, clock } = options
  const thread = await openInstancesThread({ folder, limits, clock })
  /** Asking opens the database, and makes its folder: what is late for a workflow that was removed must not. */
  const instances: Instances = {
    ...thread,
    ask: (id, call) => (options.resource(id) === undefined ? Promise.reject(unknown(id)) : thread.ask(id, call)),
  }
  const target = (id: string) => {
    const found = options.resource(id)
    return found && settingsOf(found)
  }
  const conductor = createConductor({ ...options, instances, target })

  /** What a run asks; more may have happened by the time that it is told. */
  async function askRun(id: string, operation: string, asked: Claimed, signal?: AbortSignal): Promise<object> {
    if (operation === 'watch') {
      await conductor.changed(id, asked, signal)
      if (options.resource(id) === undefined) return { state: 'stop' }
      const told = await instances.ask<{ state: string }>(id, { ...asked, do: 'state' })
      return told.state === 'ok' ? { state: 'changed' } : told
    }
    const steps = target(id)?.steps ?? limits.workflowSteps
    const told = await instances.ask<object>(id, { ...asked, steps, do: operation } as unknown as RunCall)
    if (operation !== 'start' || !('payload' in told)) return told
    const { workflowIdleMs: idleMs, workflowValueBytes: valueBytes } = limits
    return { ...told, workflowName: options.resource(id)?.name, idleMs, valueBytes }
  }

  async function askInstances({ id, operation, head }: StoreCall, wish: Record<string, unknown>): Promise<object> {
    if (operation === 'create' || operation === 'create-batch') {
      const made = await instances.ask<{ id: string }[]>(id, {
        do: 'create',
        instances: withRetention(wish.instances as CreateWish[], target(id)),
        source: head?.source === 'binding' || head?.source === 'cron' ? head.source : 'api',
        skips: operation === 'create-batch',
      })
      conductor.look(id)
      return made
    }
    if (operation === 'terminate' && wish.rollback === true)
      throw new WorkflowRefusal('body', 'Steps are not rolled back here: terminate without rollback')
    if (operation === 'delete') return remove(id, wish.instances)
    if (operation === 'terminate-all') return terminateAll(id, wish.status)
    const told = await instances.ask<object>(id, { ...wish, do: operation } as unknown as InstanceCall)
    if (heard.includes(operation)) {
      conductor.tell(id, String(wish.id))
      conductor.look(id)
    }
    return told
  }

  async function terminateAll(id: string, status: unknown): Promise<object> {
    const ids = await instances.ask<string[]>(id, {
      do: 'terminate-all',
      ...(typeof status === 'string' && { status }),
    })
    for (const one of ids) conductor.tell(id, one)
    return { terminated: ids.length }
  }

  async function remove(id: string, asked: unknown): Promise<object> {
    if (!Array.isArray(asked)) throw new WorkflowRefusal('body', 'Provided argument is invalid')
    if (asked.length === 0) throw new WorkflowRefusal('body', 'batchDeleteInstances should have at least 1 instance')
    if (asked.length > limits.workflowBatch)
      throw new WorkflowRefusal(
        'body',
        `batchDeleteInstances only supports ${limits.workflowBatch} instances at a time`,
      )
    if (!asked.every((one) => typeof one === 'string'))
      throw new WorkflowRefusal('instance.invalid_id', 'Instance ID is invalid')
    const told = await instances.ask<object>(id, { do: 'remove', instances: asked })
    for (const one of asked) conductor.tell(id, one)
    return told
  }

  async function handler(call: StoreCall): Promise<StoreAnswer> {
    const { id, operation, body, signal } = call
    folderOf(id)
    const asked = JSON.parse((await readAll(body ?? null, limits.workflowRequestBytes)).toString() || '{}')
    try {
      const ofRun = runOperations.has(operation)
      if (!ofRun && !operations.has(operation)) throw new EdgeError('internal', `Workflows know no ${operation}.`)
      const answer = ofRun ? await askRun(id, operation, asked, signal) : await askInstances(call, asked)
      return json(ofRun ? answer : { answer })
    } catch (thrown) {
      if (!(thrown instanceof WorkflowRefusal)) throw thrown
      return json({ refused: { code: thrown.code, message: thrown.message } })
    }
  }

  function folderOf(id: string): string {
    if (!/^[\w-]+$/.test(id)) throw new EdgeError('internal', 'The id of a workflow is no folder name.')
    return join(folder, id)
  }

  const held = () => readdir(folder).catch(() => [])

  return {
    kind: 'workflow',
    handler,
    held,
    async follow() {
      for (const id of await held()) if (options.resource(id) !== undefined) conductor.look(id)
    },
    async erase(id) {
      conductor.drop(id)
      await instances.letGo(id)
      await rm(folderOf(id), { recursive: true, force: true })
    },
    async close() {
      conductor.close()
      await instances.close()
    },
  }
}

function withRetention(wishes: readonly CreateWish[], settings: WorkflowSettings | undefined): CreateWish[] {
  const { successMs, errorMs } = settings ?? {}
  return wishes.map((wish) => ({
    ...(successMs !== undefined && { successMs }),
    ...(errorMs !== undefined && { errorMs }),
    ...wish,
  }))
}

const runOperations = new Set(['start', 'begin', 'finish', 'fail', 'sleep', 'wait', 'watch', 'suspend', 'end'])
const operations = new Set([
  ...['create', 'create-batch', 'delete', 'terminate-all', 'list', 'counts', 'get', 'status', 'describe'],
  ...heard,
])

const unknown = (id: string) => new EdgeError('store_unknown', `There is no workflow ${id}.`)

const json = (value: object): StoreAnswer => ({ head: {}, body: Buffer.from(JSON.stringify(value)) })

async function readAll(body: Uint8Array | Readable | null, limit: number): Promise<Buffer> {
  if (body === null) return Buffer.alloc(0)
  if (body instanceof Uint8Array) return Buffer.from(body)
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of body as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > limit) throw new EdgeError('body_too_large', `A call to a workflow has at most ${limit} bytes.`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}
