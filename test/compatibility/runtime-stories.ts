/** Proofs of the compatibility page: the forms of Workers, and what they see and do while they run. */
import assert from 'node:assert/strict'
import { copyFileSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { rimward, root, until, wrangler } from '../support/node.ts'
import { connect, said } from './ask-socket.ts'
import { type Site, type Story, small } from './site.ts'

/** In a cell with others, and in one of its own. */
const hosts = ['compat.localhost', 'compat-objects.localhost']

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

export const moduleStories: Record<string, Story> = {
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

export const runtimeStories: Record<string, Story> = {
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
  async 'email import'(site) {
    const code = `import { EmailMessage } from 'cloudflare:email'
      export default { fetch() {
        const { from, to } = new EmailMessage('a@example.com', 'b@example.com', 'Subject: hello')
        return Response.json({ from, to }) } }`
    await wrangler(site.node, small(site, 'mailing', code), ['deploy'])
    const answer = await site.node.get('mailing.localhost', '/')
    assert.deepEqual(JSON.parse(answer.text), { from: 'a@example.com', to: 'b@example.com' })
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
