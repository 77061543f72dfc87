/** Proofs of the compatibility page: wrangler's commands. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, until, wrangler } from '../support/node.ts'
import { type Site, type Story, small } from './site.ts'

/** A Worker that says its own word, deployed once a word; returns the version id of each. */
async function words(site: Site, name: string, ...list: string[]): Promise<string[]> {
  const ids: string[] = []
  for (const word of list) {
    const path = small(site, name, `export default { fetch: () => new Response('${word}') }`)
    const { output } = await wrangler(site.node, path, ['deploy', '--message', word])
    ids.push(/Current Version ID: ([0-9a-f-]{36})/.exec(output)![1]!)
  }
  return ids
}

export const commandStories: Record<string, Story> = {
  async routes(site) {
    const code = `export default { fetch: (request, env) => new Response(env.WORD + ' ' + new URL(request.url).pathname) }`
    const route = (pattern: string) => ({ pattern, zone_name: 'routed.example' })
    const api = small(site, 'routed-api', code, { vars: { WORD: 'api' }, routes: [route('routed.example/api/*')] })
    const custom = [{ pattern: 'routed.example', custom_domain: true }]
    const all = small(site, 'routed-all', code, { vars: { WORD: 'all' }, routes: custom, workers_dev: false })
    for (const path of [api, all]) await wrangler(site.node, path, ['deploy'])
    assert.equal((await site.node.get('routed.example', '/api/x')).text, 'api /api/x')
    assert.equal((await site.node.get('routed.example', '/other')).text, 'all /other')
    assert.equal((await site.node.get('routed-all.localhost', '/')).status, 404)
  },
  async environments(site) {
    const code = `export default { fetch: (_, env) => new Response(env.WORD) }`
    const env = { staging: { vars: { WORD: 'staging' } } }
    const path = small(site, 'several', code, { vars: { WORD: 'production' }, env })
    await wrangler(site.node, path, ['deploy', '--env', ''])
    await wrangler(site.node, path, ['deploy', '--env', 'staging'])
    assert.equal((await site.node.get('several.localhost', '/')).text, 'production')
    assert.equal((await site.node.get('several-staging.localhost', '/')).text, 'staging')
  },
  async 'versions view'(site) {
    const [id] = await words(site, 'viewed', 'one')
    const { output } = await wrangler(site.node, join(site.folder, 'viewed'), ['versions', 'view', id!])
    assert.match(output, new RegExp(id!))
  },
  async 'versions deploy'(site) {
    const [one, two] = await words(site, 'gradual', 'one', 'two')
    const path = join(site.folder, 'gradual')
    await wrangler(site.node, path, ['versions', 'deploy', `${one}@50%`, `${two}@50%`, '-y'])
    const seen = new Set<string>()
    await until(async () => {
      seen.add((await site.node.get('gradual.localhost', '/')).text)
      return seen.size === 2
    }, 'both versions answered')
    const sticky = new Set<string>()
    const key = { 'Cloudflare-Workers-Version-Key': 'visitor-7' }
    for (let n = 0; n < 20; n++) sticky.add((await site.node.get('gradual.localhost', '/', { headers: key })).text)
    assert.equal(sticky.size, 1)
    for (const [id, word] of [
      [one, 'one'],
      [two, 'two'],
    ]) {
      const headers = { 'Cloudflare-Workers-Version-Overrides': `gradual="${id}"` }
      assert.equal((await site.node.get('gradual.localhost', '/', { headers })).text, word)
    }
  },
  async rollback(site) {
    const [one] = await words(site, 'rolled', 'one', 'two')
    assert.equal((await site.node.get('rolled.localhost', '/')).text, 'two')
    await wrangler(site.node, join(site.folder, 'rolled'), ['rollback', one!, '--message', 'back', '-y'])
    assert.equal((await site.node.get('rolled.localhost', '/')).text, 'one')
  },
  async 'kv bulk'(site) {
    const { node, shared } = site
    const file = join(shared, 'bulk.json')
    writeFileSync(
      file,
      JSON.stringify([
        { key: 'b1', value: 'v1' },
        { key: 'b2', value: 'djI=', base64: true },
      ]),
    )
    await wrangler(node, shared, ['kv', 'bulk', 'put', file, '--binding', 'KV', '--remote'])
    writeFileSync(file, JSON.stringify(['b1', 'b2']))
    const { output } = await wrangler(node, shared, ['kv', 'bulk', 'get', file, '--binding', 'KV', '--remote'])
    assert.match(output, /"b1"[\s\S]*v1[\s\S]*"b2"[\s\S]*v2/)
    await wrangler(node, shared, ['kv', 'bulk', 'delete', file, '--binding', 'KV', '--remote', '--force'])
    const list = await wrangler(node, shared, ['kv', 'key', 'list', '--binding', 'KV', '--prefix', 'b', '--remote'])
    assert.doesNotMatch(list.output, /"b1"/)
  },
  async tail(site) {
    const code = `export default { fetch() { console.log('said', { n: 1 }); return new Response('logged') } }`
    const path = small(site, 'talking', code)
    await wrangler(site.node, path, ['deploy'])
    const child = spawn(
      process.execPath,
      [join(root, 'node_modules/wrangler/bin/wrangler.js'), 'tail', '--format', 'json'],
      { cwd: path, env: { ...site.node.shell(), HOME: site.node.data }, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    try {
      await until(
        async () => {
          assert.equal((await site.node.get('talking.localhost', '/')).text, 'logged')
          return output.includes('"said"')
        },
        'wrangler tail printed the line',
        20_000,
      )
      assert.match(output, /"outcome": "ok"/)
      assert.match(output, /"scriptName": "talking"/)
    } finally {
      child.kill('SIGINT')
    }
  },
  async delete(site) {
    const [id] = await words(site, 'doomed', 'one')
    assert.ok(id)
    await wrangler(site.node, join(site.folder, 'doomed'), ['delete', '--force'])
    assert.equal((await site.node.get('doomed.localhost', '/')).status, 404)
  },
}
