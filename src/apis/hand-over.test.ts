import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlacementRecord } from '#/control/placements.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import { type Answer, handOverCalls } from './hand-over.ts'

const placements: readonly PlacementRecord[] = [
  { kind: 'kv', id: 'notes', within: ['DE'], modifiedAt: 1 },
  { kind: 'access-list', id: 'visitors', within: ['DE'], modifiedAt: 1 },
  { kind: 'service', id: 'edge', within: ['DE'], modifiedAt: 1 },
  { kind: 'program', id: 'vault', within: ['DE'], modifiedAt: 1 },
  { kind: 'secret', id: 'lost', within: ['JP'], modifiedAt: 1 },
]
const control = {
  placements: () => placements,
  withinOf: (name: string) => placements.find(({ kind, id }) => kind === 'program' && id === name)?.within,
}

function open(canary?: string) {
  const meshes = createMemoryMeshes()
  const api = (node: string, country: string) => {
    const mesh = meshes.join({ node, pop: node, country })
    const answer: Answer = async (request) => {
      if (request.headers.get('authorization') !== `Bearer token-of-${node}` && !request.headers.has('x-own'))
        return new Response('who?', { status: 401 })
      const text = await request.text()
      const { pathname, search } = new URL(request.url)
      const said = `${node} ${request.method} ${pathname}${search} ${text}`
      const isEmpty = request.method === 'DELETE'
      return new Response(isEmpty ? null : said, { status: isEmpty ? 204 : 201, headers: { 'x-of': node } })
    }
    return handOverCalls({ answer, control, meshes: [mesh], token: `token-of-${node}`, firstPop: async () => canary })
  }
  return { meshes, fra: api('fra', 'DE'), iad: api('iad', 'US') }
}

const call = (method: string, path: string, body?: string, token = 'token-of-iad', more: Record<string, string> = {}) =>
  new Request(`http://api.test${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...more, ...(body && { 'content-length': String(body.length) }) },
    ...(body !== undefined && { body }),
  })

const account = '/client/v4/accounts/a'
const claims = Buffer.from('{"program":"vault"}').toString('base64url')

test('calls about what stays elsewhere are answered there, under the token of that node', async () => {
  const { iad, meshes } = open()
  const cases: readonly [string, string, string | undefined, 'fra' | 'iad'][] = [
    ['PUT', `${account}/storage/kv/namespaces/notes/values/k?expiration=1`, 'value', 'fra'],
    ['GET', `${account}/storage/kv/namespaces/others/values/k`, undefined, 'iad'],
    ['PUT', `${account}/workers/scripts/vault`, 'x'.repeat(200_000), 'fra'],
    ['GET', `${account}/workers/services/vault`, undefined, 'fra'],
    ['POST', `${account}/workers/scripts/vault/tails`, undefined, 'iad'],
    ['GET', `${account}/workers/scripts/other`, undefined, 'iad'],
    ['PATCH', '/resources/acls/visitors/entries', '{}', 'fra'],
    ['GET', '/resources/stores/kv/notes/keys', undefined, 'fra'],
    ['GET', '/resources/stores/secret/lost/secrets', undefined, 'iad'],
    ['PUT', '/service/edge/version/1/package', 'wasm', 'fra'],
    ['GET', '/service/edge', undefined, 'fra'],
    ['GET', '/service', undefined, 'iad'],
    ['POST', '/service/edge/purge_all', undefined, 'iad'],
    ['PUT', '/rimward/v1/residency', '{"name":"program:new","within":"DE"}', 'fra'],
    ['PUT', '/rimward/v1/residency', '{"name":"vault","within":"anywhere"}', 'fra'],
    ['PUT', '/rimward/v1/residency', '{"name":"vault","within":"DE,US"}', 'iad'],
    ['PUT', '/rimward/v1/residency', '{"name":', 'iad'],
  ]
  for (const [method, path, body, node] of cases) {
    const answer = await iad.answer(call(method, path, body))
    assert.equal(await answer.text(), `${node} ${method} ${path} ${body ?? ''}`, path)
    assert.deepEqual([answer.status, answer.headers.get('x-of')], [201, node])
    assert.equal(answer.headers.get('x-rimward-answered-by'), node === 'fra' ? 'fra' : null)
  }
  const removed = await iad.answer(call('DELETE', `${account}/storage/kv/namespaces/notes/values/k`))
  assert.deepEqual([removed.status, removed.headers.get('x-of'), await removed.text()], [204, 'fra', ''])
  // Uploads of files have tokens of their own, which every node can check.
  const upload = call('POST', `${account}/workers/assets/upload`, 'file', `head.${claims}.signature`, { 'x-own': '1' })
  assert.match(await (await iad.answer(upload)).text(), /^fra POST/)

  meshes.cut('fra', 'iad')
  assert.match(await (await iad.answer(call('GET', '/resources/acls/visitors'))).text(), /^iad GET/)
})

test('who may not ask is refused by the API that was asked', async () => {
  const { iad } = open()
  const answer = await iad.answer(call('GET', '/resources/acls/visitors', undefined, 'guessed'))
  assert.deepEqual(
    [answer.status, await answer.text(), answer.headers.get('x-rimward-answered-by')],
    [401, 'who?', null],
  )
})

test('changes of the configuration go to the process that tries them first, wherever they are asked for', async () => {
  const { iad, fra, meshes } = open('fra')
  const cases: readonly [string, string, 'fra' | 'iad'][] = [
    ['PUT', `${account}/workers/scripts/other`, 'fra'],
    ['GET', `${account}/workers/scripts/other`, 'iad'],
    ['POST', '/service', 'fra'],
    ['PUT', '/service/s/version/1/activate', 'fra'],
    ['POST', '/service/s/purge/key', 'iad'],
    ['POST', '/client/v4/zones/z/purge_cache', 'iad'],
    ['PATCH', '/rimward/v1/sites/shop', 'fra'],
    ['PUT', '/rimward/v1/rollout', 'iad'],
    ['PUT', `${account}/storage/kv/namespaces/others/values/k`, 'iad'],
  ]
  for (const [method, path, node] of cases)
    assert.match(
      await (await iad.answer(call(method, path, 'body'.slice(0, method === 'GET' ? 0 : 4) || undefined))).text(),
      new RegExp(`^${node} `),
      path,
    )
  assert.match(await (await fra.answer(call('POST', '/service', 'body', 'token-of-fra'))).text(), /^fra /)
  // A first one elsewhere than where something stays: inside comes first, and says what cannot be had.
  const other = open('iad')
  assert.match(await (await other.iad.answer(call('PUT', `${account}/workers/scripts/vault`, 'x'))).text(), /^fra /)
  meshes.cut('fra', 'iad')
  assert.match(await (await iad.answer(call('POST', '/service', 'body'))).text(), /^iad /)
})
