/** Proofs for the cache in front of a Worker; `test/workers-cache.test.ts` has the whole of it. */
import assert from 'node:assert/strict'
import { wrangler } from '../support/node.ts'
import { type Story, small } from './site.ts'

export const front: Record<string, Story> = {
  async 'cache in front'(site) {
    const code = `let runs = 0
      export default { async fetch(request, env, ctx) {
        if (request.method === 'POST') return Response.json(await ctx.cache.purge({ tags: ['a'] }))
        return new Response('run ' + ++runs, { headers: { 'cache-control': 'max-age=60', 'cache-tag': 'a' } })
      } }`
    await wrangler(site.node, small(site, 'fronted', code, { cache: { enabled: true } }), ['deploy'])
    const get = async () => (await site.node.get('fronted.localhost', '/')).text
    assert.deepEqual([await get(), await get()], ['run 1', 'run 1'])
    const purged = await site.node.get('fronted.localhost', '/', { method: 'POST' })
    assert.deepEqual(JSON.parse(purged.text), { success: true, errors: [] })
    assert.equal(await get(), 'run 2')
  },
  async 'cache import is refused'(site) {
    const code = `import { cache } from 'cloudflare:workers'
      export default { fetch: async () => Response.json(await cache.purge({ purgeEverything: true })) }`
    const path = small(site, 'front-import', code, { cache: { enabled: true } })
    const ran = await wrangler(site.node, path, ['deploy'], { mayFail: true })
    assert.notEqual(ran.code, 0, ran.output)
    assert.match(ran.output.replace(/\s+/g, ' '), /imports cache from "cloudflare:workers"/)
  },
}
