/** Workers and Compute programs call each other on a real node: a service binding one way, a backend the other. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { buildScript } from '../support/build-guest.ts'
import { openOrigin } from '../support/compute.ts'
import { fastly } from '../support/fastly.ts'
import { type RunningNode, startNode, temporaryFolder, until, wrangler } from '../support/node.ts'

const worker = `export default { async fetch(request, env) {
  const { pathname } = new URL(request.url)
  if (pathname === '/greet') return new Response('the Worker says ' + request.headers.get('x-from'))
  if (pathname === '/facts') {
    const headers = new Headers(request.headers)
    headers.set('x-from', 'worker')
    return env.SHOP.fetch('https://inside.test/facts', { method: 'PUT', headers, body: 'a body' })
  }
  if (pathname === '/rpc') return new Response(await env.SHOP.greet().catch((error) => error.message))
  if (pathname === '/fail') {
    const answer = await env.SHOP.fetch(request).catch((error) => new Response(error.message))
    return new Response(answer.status + ' ' + await answer.text())
  }
  if (pathname === '/duplex') {
    const { readable, writable } = new TransformStream()
    const writer = writable.getWriter(), text = new TextDecoder(), said = []
    const sending = writer.write(new TextEncoder().encode('one'))
    const answer = await env.SHOP.fetch('http://shop/echo', { method: 'POST', body: readable })
    const reader = answer.body.getReader()
    said.push(text.decode((await reader.read()).value))
    await sending
    await writer.write(new TextEncoder().encode('two'))
    said.push(text.decode((await reader.read()).value))
    await writer.close()
    return Response.json([...said, (await reader.read()).done])
  }
  return env.SHOP.fetch(request)
} }`

interface WorkerBinding {
  readonly binding: string
  readonly service: string
  readonly entrypoint?: string
}

async function workerFolder(t: TestContext, services: readonly WorkerBinding[], more: object = {}): Promise<string> {
  const folder = await temporaryFolder(t, 'front')
  writeFileSync(join(folder, 'index.js'), worker)
  const config = { name: 'front', main: 'index.js', compatibility_date: '2026-01-01', services, ...more }
  writeFileSync(join(folder, 'wrangler.json'), JSON.stringify(config))
  return folder
}

/** A package of a compiled program, as `fastly compute build` makes them. */
function packageOf(node: RunningNode, name: string, wasm: Uint8Array): string {
  const folder = join(node.data, 'package', name)
  mkdirSync(join(folder, 'bin'), { recursive: true })
  writeFileSync(join(folder, 'fastly.toml'), `manifest_version = 3\nname = "${name}"\nlanguage = "other"\n`)
  writeFileSync(join(folder, 'bin', 'main.wasm'), wasm)
  const archive = join(node.data, `${name}.tar.gz`)
  execFileSync('tar', ['czf', archive, '-C', join(node.data, 'package'), name])
  return archive
}

async function deployCompute(node: RunningNode, port: number): Promise<void> {
  const archive = packageOf(node, 'shop', await buildScript('between.js'))
  const made = await fastly(node, ['service', 'create', '--name', 'Shop', '--type', 'wasm'])
  const on = ['--service-id', /Created service (\w+)/.exec(made.output)?.[1] ?? '', '--version', '1']
  const cli = (...args: string[]) => fastly(node, [...args, ...on])
  const backend = (name: string, address: string, ...more: string[]) =>
    cli('service', 'backend', 'create', '--name', name, '--address', address, ...more)
  const check = ['--window', '1', '--threshold', '1', '--initial', '1', '--check-interval', '1000']
  await cli('service', 'healthcheck', 'create', '--name', 'up', '--path', '/up', ...check)
  await cli('service', 'healthcheck', 'create', '--name', 'greets', '--path', '/greet', '--method', 'GET', ...check)
  await backend('front', 'front.localhost', '--healthcheck', 'greets')
  await backend('checked', '127.0.0.1', '--port', String(port), '--healthcheck', 'up')
  await backend('plain', '127.0.0.1', '--port', String(port))
  await cli('service', 'domain', 'create', '--name', 'shop.example.test')
  await cli('compute', 'update', '--package', archive)
  await cli('service', 'version', 'activate')
}

test('a Worker binds a Compute program, whose backends are that Worker and a checked origin', {
  timeout: 120_000,
}, async (t) => {
  const node = await startNode(t)
  let isUp = true
  const origin = await openOrigin(t, ({ url }, response) => {
    response.writeHead(url === '/up' && !isUp ? 500 : 200, { 'cache-control': 'no-store' }).end(`origin ${url}`)
  })
  const binding = { binding: 'SHOP', service: 'shop' }

  const early = await wrangler(node, await workerFolder(t, [binding]), ['deploy'], { mayFail: true })
  assert.match(early.output, /Could not resolve service binding 'SHOP'.*'shop' not found/s)
  await deployCompute(node, origin.port)
  const named = await workerFolder(t, [{ ...binding, entrypoint: 'Api' }])
  const refused = await wrangler(node, named, ['deploy'], { mayFail: true })
  assert.match(refused.output, /'SHOP': 'shop' is a Compute program, which has no entrypoint 'Api'/)

  // In a shared cell first, then in a cell of its own: more CPU time than a shared cell grants asks for one.
  for (const more of [{}, { limits: { cpu_ms: 60_000 } }]) {
    await wrangler(node, await workerFolder(t, [binding], more), ['deploy'])
    const ask = async (path: string) => (await node.get('front.localhost', path)).text
    assert.deepEqual(JSON.parse(await ask('/facts')), ['PUT', 'inside.test', 'worker', '127.0.0.1', 'a body'])
    assert.deepEqual(JSON.parse(await ask('/duplex')), ['one', 'two', true])
    assert.match(await ask('/rpc'), /^Service binding to shop: a Compute program has no method greet\(\)/)
    assert.match(await ask('/fail'), /^500 /)
    assert.match(await ask('/round'), /unavailable/i, 'a circle ends')
    const { status, text, headers } = await node.get('front.localhost', '/echo', { method: 'POST', body: 'hello' })
    assert.deepEqual([status, text, headers['x-echo']], [200, 'hello', 'yes'])
  }

  const shop = (path: string) => node.get('shop.example.test', path, { headers: { 'x-from': 'the program' } })
  assert.equal((await shop('/greet')).text, 'the Worker says the program')

  const health = async () => (await shop('/health')).text
  await until(async () => (await health()) === '["healthy","healthy","unknown"]', 'backends are healthy')
  assert.equal((await shop('/checked')).text, 'origin /')
  isUp = false
  await until(async () => (await health()) === '["healthy","unhealthy","unknown"]', 'a check fails')
  const down = await shop('/checked')
  assert.equal(down.status, 503)
  assert.match(down.text, /unavailable/i)
  isUp = true
  await until(async () => (await shop('/checked')).text === 'origin /', 'the backend is back')
})
