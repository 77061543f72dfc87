/** A workflow that is removed while something of it is under way. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, type Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import type { EventOutcome, WorkflowRunEvent } from '#/core/program-events.ts'
import type { Resource } from '#/core/resources.ts'
import { openWorkflowStore } from './workflow-store.ts'

interface Given {
  /** What a run of an instance does. */
  readonly deliver?: (event: WorkflowRunEvent) => Promise<void>
  readonly workflowSweepMs?: number
}

/** Knows the workflows `ids` until they are removed. */
async function openTestStore(t: TestContext, ids: readonly string[], { deliver, ...more }: Given = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-workflows-'))
  const settings = { program: 'shop', className: 'Flow' }
  const resources = new Map(
    ids.map((id): [string, Resource] => [
      id,
      { kind: 'workflow', id, name: id, createdAt: 0, modifiedAt: 0, settings },
    ]),
  )
  const logged: string[] = []
  const store = await openWorkflowStore({
    folder,
    resource: (id) => resources.get(id),
    isDeployed: () => true,
    async deliver(_program, event) {
      await deliver?.(event)
      return { end: 'ok' } as EventOutcome
    },
    limits: { ...defaultLimits, ...more },
    clock: Date.now,
    log: (message) => void logged.push(message),
  })
  t.after(async () => {
    await store.close()
    await rm(folder, { recursive: true, force: true })
  })
  return {
    ...{ store, logged },
    async ask(id: string, operation: string, body: object | Readable) {
      const sent = body instanceof PassThrough ? body : Buffer.from(JSON.stringify(body))
      const answer = await store.handler({ kind: 'workflow', id, operation, body: sent })
      return JSON.parse(Buffer.from(answer.body as Uint8Array).toString())
    },
    isHeld: (id: string) => existsSync(join(folder, id)),
    async remove(id: string) {
      resources.delete(id)
      await store.erase(id)
    },
  }
}

const many = Array.from({ length: 20 }, (_, index) => `flow-${index}`)
const one = { instances: [{ id: 'one', params: 'null' }] }

test('a run that waits is told to stop, and does not make the database again', async (t) => {
  const began = new Map(many.map((id) => [id, Promise.withResolvers<{ told: Promise<object> }>()]))
  const opened = await openTestStore(t, many, {
    async deliver(event) {
      const told = opened.ask(event.workflow, 'watch', event)
      began.get(event.workflow)!.resolve({ told })
      await told
    },
  })
  for (const id of many) {
    await opened.ask(id, 'create', one)
    const { told } = await began.get(id)!.promise
    await opened.remove(id)
    assert.deepEqual(await told, { state: 'stop' })
  }
  assert.deepEqual(many.filter(opened.isHeld), [])
  assert.deepEqual(opened.logged, [])
})

test('what is due is looked for no more', async (t) => {
  const opened = await openTestStore(t, many, { workflowSweepMs: 0 })
  for (const id of many) {
    await opened.ask(id, 'create', one)
    await opened.store.follow!()
    // What it looks for goes out in two batches: the removal comes between them.
    await new Promise<void>((resolve) => void queueMicrotask(resolve))
    await opened.remove(id)
  }
  assert.deepEqual(many.filter(opened.isHeld), [])
  assert.deepEqual(opened.logged, [])
})

test('a call whose body ends after the removal is refused', async (t) => {
  const opened = await openTestStore(t, ['flow'])
  await opened.ask('flow', 'create', one)
  for (const operation of ['create', 'list']) {
    const body = new PassThrough()
    const late = opened.ask('flow', operation, body)
    await opened.remove('flow')
    body.end(JSON.stringify({ instances: [{ id: 'two', params: 'null' }], per: 1, offset: 0 }))
    await assert.rejects(late, { code: 'store_unknown' })
    assert.equal(opened.isHeld('flow'), false)
  }
})
