/**
 * Proofs of the compatibility page that need more than one request or one command.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import { type RunningNode, rimward, root, startNode, until, wrangler } from '../support/node.ts'
import { computeStories } from './compute-stories.ts'

export interface Site {
  readonly node: RunningNode
  readonly folder: string
  /** Folders of the check Worker: deployed as `compat` (shared cell) and `compat-objects` (own cell). */
  readonly shared: string
  readonly own: string
}

type Story = (site: Site) => Promise<void>

const hosts = ['compat.localhost', 'compat-objects.localhost']

export function small(site: Site, name: string, code: string, config: Record<string, unknown> = {}): string {
  const path = join(site.folder, name)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'index.js'), code)
  writeFileSync(
    join(path, 'wrangler.jsonc'),
    JSON.stringify({ name, main: 'index.js', compatibility_date: '2026-10-01', ...config }),
  )
  return path
}

async function connect(site: Site, host: string, path: string): Promise<WebSocket> {
  const socket = new WebSocket(`${site.node.addresses.http.replace('http', 'ws')}${path}`, { headers: { host } })
  await new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  return socket
}

function said(socket: WebSocket, message: string): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once('message', (data) => resolve(String(data)))
    socket.once('close', (code) => reject(new Error(`closed with ${code}`)))
    socket.send(message)
  })
}

const modules: Record<string, Story> = {
  async 'service-worker syntax'(site) {
    const code = `addEventListener('fetch', (event) => event.respondWith(new Response('script ' + WORD)))`
    const path = small(site, 'scripted', code, { vars: { WORD: 'syntax' } })
    await wrangler(site.node, path, ['deploy'])
    assert.equal((await site.node.get('scripted.localhost', '/')).text, 'script syntax')
  },
  async 'service-worker bindings'(site) {
    const code = `addEventListener('fetch', (event) => event.respondWith(answer()))
      async function answer() {
        await NOTES.put('key', 'kept')
        const sum = new WebAssembly.Instance(ADD).exports.add(2, 3)
        return new Response([await NOTES.get('key'), TEXT.trim(), new Uint8Array(DATA).join(), sum].join(' | ')) }`
    const path = small(site, 'script-bindings', code, {
      kv_namespaces: [{ binding: 'NOTES' }],
      text_blobs: { TEXT: 'text.txt' },
      data_blobs: { DATA: 'data.bin' },
      wasm_modules: { ADD: 'add.wasm' },
    })
    writeFileSync(join(path, 'text.txt'), 'a text\n')
    writeFileSync(join(path, 'data.bin'), Buffer.from([1, 2, 3]))
    copyFileSync(join(root, 'test/apps/everything/src/add.wasm'), join(path, 'add.wasm'))
    await wrangler(site.node, path, ['deploy'])
    assert.equal((await site.node.get('script-bindings.localhost', '/')).text, 'kept | a text | 1,2,3 | 5')
  },
  async 'python is refused'(site) {
    const path = small(site, 'snake', '', { main: 'entry.py', compatibility_flags: ['python_workers'] })
    writeFileSync(join(path, 'entry.py'), 'from workers import Response\n')
    const ran = await wrangler(site.node, path, ['deploy'], { mayFail: true })
    assert.notEqual(ran.code, 0, ran.output)
    assert.match(ran.output, /python/i)
  },
}

const runtime: Record<string, Story> = {
  async 'streams pass as they come'(site) {
    for (const host of hosts) {
      assert.deepEqual(await chunksWithPauses(site, host), ['tick 1\n', 'tick 2\n', 'tick 3\n'])
      const body = 'x'.repeat(1_000_000)
      const answer = await site.node.get(host, '/plain/body', { method: 'POST', body })
      assert.equal(answer.text.length, body.length)
    }
  },
  async 'websocket to the client'(site) {
    for (const host of hosts) {
      const socket = await connect(site, host, '/socket/echo')
      assert.equal(await said(socket, 'hello'), 'hello')
      const closed = new Promise((resolve) => socket.once('close', resolve))
      socket.close(1000)
      await closed
    }
  },
  async 'waitUntil outlives the answer'(site) {
    for (const [index, host] of hosts.entries()) {
      await site.node.get(host, `/plain/wait?${index}`)
      const path = index === 0 ? site.shared : site.own
      await until(async () => {
        const args = ['kv', 'key', 'get', '--binding', 'KV', 'waited', '--remote', '--text']
        const ran = await wrangler(site.node, path, args, { mayFail: true })
        return ran.output.includes(`?${index}`)
      }, 'the key was written after the answer')
    }
  },
  async 'request facts'(site) {
    for (const host of hosts) {
      const answer = await site.node.get(host, '/plain/facts?q=1', {
        headers: { 'cf-connecting-ip': '6.6.6.6', 'x-kept': 'yes' },
      })
      const facts = JSON.parse(answer.text)
      const headers = Object.fromEntries(facts.headers)
      assert.equal(headers['cf-connecting-ip'], '127.0.0.1')
      assert.equal(headers['x-kept'], 'yes')
      assert.equal(headers['cf-ray'], answer.headers['cf-ray'] as string)
      assert.match(String(headers['cf-ray']), /^[0-9a-f]{16}-[A-Z]+$/)
      assert.equal(headers['cf-visitor'], '{"scheme":"http"}')
      assert.equal(facts.url, `http://${host}/plain/facts?q=1`)
      assert.equal(facts.cf.httpProtocol, 'HTTP/1.1')
      assert.equal(typeof facts.cf.colo, 'string')
    }
  },
  async passThroughOnException(site) {
    const origin = createServer((request, response) => response.end(`origin ${request.url}`))
    await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
    try {
      const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`
      const added = await rimward(site.node, site.folder, [
        'site',
        'add',
        'passed',
        '--origin',
        url,
        '--host',
        'passed.example',
      ])
      assert.equal(added.code, 0, added.output)
      const code = `export default { fetch(request, env, ctx) {
        ctx.passThroughOnException()
        if (request.url.endsWith('/well')) return new Response('program')
        throw new Error('on purpose') } }`
      const routes = [{ pattern: 'passed.example/*', zone_name: 'passed.example' }]
      await wrangler(site.node, small(site, 'passing', code, { routes }), ['deploy'])
      assert.equal((await site.node.get('passed.example', '/well')).text, 'program')
      assert.equal((await site.node.get('passed.example', '/ill?x=1')).text, 'origin /ill?x=1')
    } finally {
      origin.close()
      origin.closeAllConnections()
    }
  },
  async 'large values'(site) {
    const code = `export default { async fetch(_, env) {
      const sent = new Uint8Array(25 * 1024 * 1024).fill(7)
      await env.NOTES.put('large', sent)
      const got = new Uint8Array(await env.NOTES.get('large', 'arrayBuffer'))
      const refused = await env.NOTES.put('larger', new Uint8Array(sent.length + 1)).then(() => 'taken', (error) => error.message)
      return Response.json({ same: got.length === sent.length && got.every((byte) => byte === 7), refused }) } }`
    const path = small(site, 'large', code, { kv_namespaces: [{ binding: 'NOTES' }] })
    await wrangler(site.node, path, ['deploy'])
    const answer = JSON.parse((await site.node.get('large.localhost', '/')).text)
    assert.deepEqual(answer, {
      same: true,
      refused: 'KV PUT failed: 413 Value length of 26214401 exceeds limit of 26214400.',
    })
  },
  async 'error 1101'(site) {
    for (const host of hosts) {
      const answer = await site.node.get(host, '/plain/throw')
      assert.equal(answer.status, 500)
      assert.match(answer.text, /1101/)
      assert.doesNotMatch(answer.text, /thrown on purpose/, 'the exception is for the log, not for the visitor')
    }
  },
  async 'error 1102'(site) {
    const path = small(site, 'looping', `export default { fetch() { for (;;); } }`)
    await wrangler(site.node, path, ['deploy'])
    const loop = site.node.get('looping.localhost', '/')
    const answer = await loop
    assert.equal(answer.status, 503)
    assert.match(answer.text, /1102/)
    assert.equal((await site.node.get('compat.localhost', '/check/vars')).text, 'ok')
  },
}

/** Texts that arrived with a pause between them: what was streamed arrives in pieces, what was buffered does not. */
function chunksWithPauses(site: Site, host: string): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const sent = request(`${site.node.addresses.http}/plain/stream`, { headers: { host } }, (response) => {
      const chunks: string[] = []
      response.on('data', (chunk) => chunks.push(String(chunk)))
      response.on('end', () => resolve(chunks))
    })
    sent.on('error', reject)
    sent.end()
  })
}

const objects: Record<string, Story> = {
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

const assets: Record<string, Story> = {
  async 'assets answer'({ node }) {
    const page = await node.get('compat.localhost', '/sub/page')
    assert.deepEqual([page.status, page.text.trim()], [200, '<p>a page</p>'])
    assert.match(page.headers['content-type'] ?? '', /^text\/html/)
    const again = await node.get('compat.localhost', '/sub/page', { headers: { 'if-none-match': page.headers.etag! } })
    assert.equal(again.status, 304)
    const redirected = await node.get('compat.localhost', '/sub/page.html')
    assert.deepEqual([redirected.status, redirected.headers.location], [307, '/sub/page'])
  },
  async 'assets _headers'({ node }) {
    assert.equal((await node.get('compat.localhost', '/')).headers['x-from'], 'headers-file')
  },
  async 'assets _redirects'({ node }) {
    const answer = await node.get('compat.localhost', '/old')
    assert.deepEqual([answer.status, answer.headers.location], [301, '/sub/page'])
  },
  async 'assets run_worker_first'({ node }) {
    assert.equal((await node.get('compat.localhost', '/check/vars')).text, 'ok')
    assert.equal((await node.get('compat.localhost', '/')).text.trim(), '<p>home</p>')
  },
  async 'assets ignored'({ node }) {
    assert.notEqual((await node.get('compat.localhost', '/secret.txt')).text.trim(), 'hidden')
  },
}

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

const commands: Record<string, Story> = {
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

export const stories: Record<string, Story> = {
  ...modules,
  ...runtime,
  ...objects,
  ...assets,
  ...commands,
  ...computeStories,
}
