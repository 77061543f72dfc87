/** Workflows as people use them: the real wrangler, a deployed Worker with the runtime's own binding, asked over HTTP. */
import assert from 'node:assert/strict'
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type RunningNode, root, startNode, temporaryFolder, wrangler } from './support/node.ts'

let node: RunningNode
let folder: string

before(async () => {
  node = await startNode(undefined)
  folder = await temporaryFolder(undefined, 'workflows')
  await cp(join(root, 'test/workflows/worker.js'), join(folder, 'index.js'))
  await writeFile(join(folder, 'wrangler.json'), JSON.stringify(configuration))
  await wrangler(node, folder, ['deploy'])
})
after(async () => {
  await node.stop('SIGKILL')
})

const configuration = {
  name: 'shop',
  main: 'index.js',
  compatibility_date: '2026-11-01',
  workflows: [{ name: 'orders', binding: 'FLOW', class_name: 'Flow' }],
}

// biome-ignore lint/suspicious/noExplicitAny: what a program answers is compared, not used.
type Told = any

async function ask(step: string, rest: object = {}): Promise<Told> {
  const answer = await node.get('shop.localhost', '/', { method: 'POST', body: JSON.stringify({ step, ...rest }) })
  assert.equal(answer.status, 200, answer.text)
  return JSON.parse(answer.text)
}

async function does(step: string, rest: object = {}): Promise<Told> {
  const told = await ask(step, rest)
  assert.equal(told.error, undefined, JSON.stringify(rest))
  return told.value
}

const create = (id: string, ...steps: object[]) => does('create', { options: { id, params: { steps } } })

/** Asks until it has this status; a final one that is another fails at once. */
async function until(id: string, wanted: string): Promise<Told> {
  for (;;) {
    const told = await does('status', { id })
    if (told.status === wanted) return told
    assert.ok(!['complete', 'errored', 'terminated'].includes(told.status), JSON.stringify(told))
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

test('an instance is made, runs its steps and tells what they gave', { timeout: 120_000 }, async () => {
  const id = await create('first', { kind: 'give', name: 'one', value: 1 }, { kind: 'give', name: 'two', value: [2] })
  assert.equal(id, 'first')
  const { output } = await until(id, 'complete')
  assert.deepEqual(output, { results: [1, [2]], instanceId: 'first', workflowName: 'orders', dated: true })
})
