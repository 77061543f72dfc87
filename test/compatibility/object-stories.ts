/** Proofs of the compatibility page: Durable Objects that rest, lie where they are wanted, and outlive their process. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { startNode, wrangler } from '../support/node.ts'
import { connect, said } from './ask-socket.ts'
import { type Story, small } from './site.ts'

export const objectStories: Record<string, Story> = {
  async 'hibernating websockets'(site) {
    const socket = await connect(site, 'compat-objects.localhost', '/socket/object')
    assert.equal(await said(socket, 'ping'), 'pong')
    const first = JSON.parse(await said(socket, 'a'))
    assert.deepEqual(first, { message: 'a', others: 1, attachment: { joined: true } })
    // Objects are evicted after 10 s without a request; the socket stays, and the next message wakes the object.
    await new Promise((resolve) => setTimeout(resolve, 11_000))
    const woken = JSON.parse(await said(socket, 'b'))
    assert.deepEqual(woken, { message: 'b', others: 1, attachment: { joined: true } })
    socket.close()
  },
  async 'objects where they are wanted'(site) {
    const code = `import { DurableObject } from 'cloudflare:workers'
      export class Place extends DurableObject {
        async note() { await this.ctx.storage.put('here', 1); return this.ctx.id.toString() } }
      export default { async fetch(_, env) {
        const eu = env.PLACE.jurisdiction('eu')
        return Response.json(await Promise.all([
          env.PLACE.getByName('far', { locationHint: 'apac-ne' }).note(), eu.getByName('near').note(),
          env.PLACE.get(env.PLACE.newUniqueId({ jurisdiction: 'eu' })).note()])) } }`
    const path = small(site, 'places', code, {
      durable_objects: { bindings: [{ name: 'PLACE', class_name: 'Place' }] },
      migrations: [{ tag: 'v1', new_sqlite_classes: ['Place'] }],
    })
    const node = await startNode(undefined, { args: ['--pops', 'iad:US,fra:DE,nrt:JP'] })
    try {
      await wrangler(node, path, ['deploy'])
      const ids = JSON.parse((await node.get('places.localhost', '/')).text) as string[]
      const lies = (id: string) =>
        ['iad', 'fra', 'nrt'].filter((pop) => {
          const folder = join(node.data, 'pops', pop, 'engine/objects')
          return readdirSync(folder, { recursive: true }).some((file) => String(file).endsWith(`${id}.sqlite`))
        })
      assert.deepEqual(ids.map(lies), [['nrt'], ['fra'], ['fra']])
    } finally {
      await node.stop()
    }
  },
  async 'objects outlive SIGKILL'(site) {
    const code = `import { DurableObject } from 'cloudflare:workers'
      export class Count extends DurableObject {
        async next() { const n = ((await this.ctx.storage.get('n')) ?? 0) + 1; await this.ctx.storage.put('n', n); return n }
        pid() { return 1 } }
      export default { async fetch(_, env) { return new Response(String(await env.COUNT.getByName('c').next())) } }`
    const path = small(site, 'counting', code, {
      durable_objects: { bindings: [{ name: 'COUNT', class_name: 'Count' }] },
      migrations: [{ tag: 'v1', new_sqlite_classes: ['Count'] }],
    })
    await wrangler(site.node, path, ['deploy'])
    assert.equal((await site.node.get('counting.localhost', '/')).text, '1')
    assert.equal((await site.node.get('counting.localhost', '/')).text, '2')
    // A second deploy replaces the process; what was acknowledged is still there.
    await wrangler(site.node, path, ['deploy'])
    assert.equal((await site.node.get('counting.localhost', '/')).text, '3')
  },
}
