/** A whole process is stopped (SIGSTOP) until its lease is over, while the cell of its objects goes on. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { defaultLimits } from '#/core/limits.ts'
import { rimward, startNode, temporaryFolder, until } from './support/node.ts'

const code = `
import { DurableObject } from 'cloudflare:workers'
export class Counter extends DurableObject {
  async add(wait) {
    await scheduler.wait(wait)
    const n = ((await this.ctx.storage.get('n')) ?? 0) + 1
    await this.ctx.storage.put('n', n)
    return n
  }
}
export default { async fetch(request, env) {
  const { pathname, searchParams } = new URL(request.url)
  return new Response(String(await env.COUNTER.getByName(pathname).add(Number(searchParams.get('wait')))))
} }`

test('what objects answered before a pause does not leave after it; then they go on', {
  timeout: 90_000,
}, async (t) => {
  const node = await startNode(t, { args: ['--pops', 'fra:DE,iad:US'] })
  const folder = await temporaryFolder(t, 'paused')
  await writeFile(join(folder, 'main.js'), code)
  await writeFile(
    join(folder, 'wrangler.json'),
    JSON.stringify({
      name: 'paused',
      main: 'main.js',
      compatibility_date: '2026-11-01',
      durable_objects: { bindings: [{ name: 'COUNTER', class_name: 'Counter' }] },
      migrations: [{ tag: 'v1', new_sqlite_classes: ['Counter'] }],
    }),
  )
  const deployed = await rimward(node, folder, ['deploy'])
  assert.equal(deployed.code, 0, deployed.output)
  const ask = async (path: string) => {
    const { status, text } = await node.get('paused.localhost', path, { method: 'POST' })
    return status === 200 ? text : status
  }
  assert.equal(await ask('/a'), '1')
  const pending = ask('/a?wait=1000')
  await pause(300)
  process.kill(node.pid, 'SIGSTOP')
  await pause(defaultLimits.nodeLeaseMs + 500)
  process.kill(node.pid, 'SIGCONT')
  assert.equal(await pending, 503)
  await until(async () => (await ask('/b')) === '1', 'objects run again')
  // The increment that nobody heard of was made: the cell went on while its node stood still.
  assert.equal(await ask('/a'), '3')
  assert.equal(await node.stop(), 0)
})
