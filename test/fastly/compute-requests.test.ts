/** A Compute program on a real node, deployed with the unmodified CLI: backend, caches, purges, a Worker behind a backend. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { compileScript } from '../support/compute.ts'
import { fastly } from '../support/fastly.ts'
import { startNode } from '../support/node.ts'

const host = 'compute.example.test'
const source = `
import { SimpleCache } from 'fastly:cache'
import { CacheOverride } from 'fastly:cache-override'
addEventListener('fetch', (event) => event.respondWith((async () => {
  const { pathname } = new URL(event.request.url)
  if (pathname === '/simple') return new Response(await (await SimpleCache.getOrSet('k', async () => ({ value: 'made', ttl: 60 }))).text())
  return fetch(new Request('http://origin.test' + pathname), { backend: 'origin', cacheOverride: new CacheOverride('override', { ttl: 60, surrogateKey: 'page' }) })
})()))
`

test('a Compute program asks its backend through the cache, and purges by key reach it', async (t) => {
  let asked = 0
  const origin = createServer((request, response) => response.end(`${request.headers.host}${request.url} ${++asked}`))
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
  t.after(() => origin.close())
  const wasm = await compileScript(source)
  const node = await startNode(t)
  const folder = join(node.data, 'package', 'shop')
  mkdirSync(join(folder, 'bin'), { recursive: true })
  writeFileSync(join(folder, 'fastly.toml'), 'manifest_version = 3\nname = "shop"\nlanguage = "other"\n')
  writeFileSync(join(folder, 'bin', 'main.wasm'), wasm)
  const archive = join(node.data, 'shop.tar.gz')
  execFileSync('tar', ['czf', archive, '-C', join(node.data, 'package'), 'shop'])

  const made = await fastly(node, ['service', 'create', '--name', 'compute-shop', '--type', 'wasm'])
  const id = /Created service (\w+)/.exec(made.output)?.[1] ?? ''
  const version = ['--service-id', id, '--version', '1']
  await fastly(node, ['service', 'domain', 'create', ...version, '--name', host])
  const { port } = origin.address() as AddressInfo
  await fastly(node, [
    'service',
    'backend',
    'create',
    ...version,
    '--name',
    'origin',
    '--address',
    '127.0.0.1',
    '--port',
    String(port),
  ])
  await fastly(node, ['compute', 'update', ...version, '--package', archive])
  await fastly(node, ['service', 'version', 'activate', ...version])

  const get = async (path: string) => {
    const answer = await node.get(host, path)
    return `${answer.status} ${answer.text} ${answer.headers['x-cache']}`
  }
  assert.equal(await get('/a'), '200 origin.test/a 1 MISS')
  assert.equal(await get('/a'), '200 origin.test/a 1 HIT')
  await fastly(node, ['service', 'purge', '--service-id', id, '--key', 'page'])
  assert.equal(await get('/a'), '200 origin.test/a 2 MISS')
  assert.match(await get('/simple'), /^200 made /)
  await fastly(node, ['service', 'purge', '--service-id', id, '--all'])
  assert.equal(await get('/a'), '200 origin.test/a 3 MISS')
})
