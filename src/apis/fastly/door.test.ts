import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryFabric } from '#/control/memory-fabric.fixture.ts'
import { type Door, openDoor } from './door.fixture.ts'

async function newService(door: Door, name = 'shop'): Promise<string> {
  return (await door.call('POST', '/service', { name, type: 'vcl' })).body.id
}

async function serving(door: Door, name = 'shop'): Promise<string> {
  const id = await newService(door, name)
  const version = `/service/${id}/version/1`
  await door.call('POST', `${version}/domain`, { name: `${name}.example.test` })
  await door.call('POST', `${version}/backend`, { name: 'o', address: 'o.example.test' })
  const { status, body } = await door.call('PUT', `${version}/activate`)
  assert.equal(status, 200, JSON.stringify(body))
  return id
}

test('only the token opens the door; unknown calls are named', async (t) => {
  const door = await openDoor(t)
  const bare = (path: string, headers = {}) => fetch(door.url + path, { headers })
  assert.equal((await bare('/service')).status, 401)
  assert.equal((await bare('/service', { 'fastly-key': 'wrong' })).status, 401)
  assert.equal((await bare('/service', { authorization: `Bearer ${door.token}` })).status, 200)
  assert.deepEqual(await (await bare('/realms/fastly/.well-known/openid-configuration')).json(), {})
  const unknown = await door.call('POST', '/service/x/wibble')
  assert.equal(unknown.status, 404)
  assert.match(unknown.body.detail, /does not support POST \/service\/x\/wibble/)
  assert.equal((await bare('/nowhere')).status, 404)
})

test('a version is a draft until it is activated, then locked; an older one is the way back', async (t) => {
  const door = await openDoor(t)
  const id = await serving(door)
  const at = (version: number) => `/service/${id}/version/${version}`
  const served = () =>
    door.control.snapshot.sites.map(({ hostnames, target }) => [hostnames, target.kind === 'origin' && target.url])
  const first = [[['shop.example.test'], 'http://o.example.test:80']]
  assert.deepEqual(served(), first)

  const locked = await door.call('POST', `${at(1)}/domain`, { name: 'more.example.test' })
  assert.equal(locked.status, 422)
  assert.match(locked.body.detail, /Version 1 of service .* is locked/)
  assert.equal((await door.call('PUT', `${at(1)}/backend/o`, { address: 'x.example.test' })).status, 422)
  assert.equal((await door.call('DELETE', `${at(1)}/backend/o`)).status, 422)

  assert.equal((await door.call('PUT', `${at(1)}/clone`)).body.number, 2)
  const adopted = door.adopted.length
  assert.equal((await door.call('PUT', `${at(2)}/backend/o`, { address: 'x.example.test', port: '443' })).status, 200)
  assert.equal((await door.call('DELETE', `${at(2)}/domain/shop.example.test`)).body.status, 'ok')
  assert.deepEqual(served(), first)
  assert.equal(door.adopted.length, adopted, 'the data plane hears nothing of drafts')

  const { body: two } = await door.call('PUT', `${at(2)}/activate`)
  assert.deepEqual([two.number, two.active, two.locked], [2, true, true])
  assert.deepEqual(served(), [[['shop.localhost'], 'https://x.example.test:443']])
  await door.call('PUT', `${at(1)}/activate`)
  assert.deepEqual(served(), first)

  const { body: details } = await door.call('GET', `/service/${id}/details`)
  assert.deepEqual([details.active_version.number, details.versions.length], [1, 2])
  assert.equal((await door.call('DELETE', `/service/${id}`)).status, 422)
  assert.equal((await door.call('PUT', `${at(1)}/deactivate`)).body.active, false)
  assert.deepEqual(served(), [])
  assert.equal((await door.call('DELETE', `/service/${id}`)).body.status, 'ok')
  assert.equal((await door.call('GET', `/service/${id}`)).status, 404)
  assert.deepEqual(door.bugs, [])
})

test('a version that does not fit is refused and the active one stays', async (t) => {
  const door = await openDoor(t)
  const id = await serving(door)
  const other = await newService(door, 'other')
  const at = `/service/${other}/version/1`
  const empty = await door.call('GET', `${at}/validate`)
  assert.equal(empty.body.status, 'ok')
  assert.match((await door.call('PUT', `${at}/activate`)).body.detail, /no origin/)
  await door.call('POST', `${at}/backend`, { name: 'o', address: 'o.example.test', request_condition: 'nobody' })
  const invalid = await door.call('GET', `${at}/validate`)
  assert.deepEqual([invalid.body.status, invalid.body.msg], ['error', "'o': there is no condition 'nobody'."])
  await door.call('PUT', `${at}/backend/o`, { request_condition: '' })
  await door.call('POST', `${at}/domain`, { name: 'shop.example.test' })
  const taken = await door.call('PUT', `${at}/activate`)
  assert.equal(taken.status, 409)
  assert.match(taken.body.detail, /'shop.example.test' already belongs to 'shop'/)
  await door.call('PUT', `${at}/domain/shop.example.test`, { name: 'no host!' })
  assert.match((await door.call('PUT', `${at}/activate`)).body.detail, /is not a hostname/)
  assert.equal(door.control.snapshot.sites.length, 1)
  for (const name of ['shop', 'SHOP', 'sh?op'.replace('?', ''), '---'])
    assert.notEqual((await door.call('POST', '/service', { name })).status, 200, name)
  assert.match((await door.call('POST', '/service', { name: 'w', type: 'lambda' })).body.detail, /type 'lambda'/)
  await assert.rejects(
    door.control.siteAdd({ name: 'shop', origin: 'http://o.example.test', hosts: [] }),
    /name of a service/,
  )
  await door.control.siteAdd({ name: 'plain', origin: 'http://o.example.test', hosts: [] })
  assert.equal((await door.call('POST', '/service', { name: 'Plain' })).status, 409)
  const checked = await door.call('GET', `/service/${id}/version/1/domain/check_all`)
  assert.deepEqual([checked.body[0][0].name, checked.body[0][2]], ['shop.example.test', true])
  assert.match(
    (await door.call('GET', `/service/${id}/version/1/generated_vcl`)).body.detail,
    /Generated VCL is not supported/,
  )
  assert.equal((await door.call('GET', `/service/${id}/version/7`)).status, 404)
  assert.equal((await door.call('GET', `/service/${id}/version/x/domain`)).status, 404)
})

test('items and entries serve at once, without a version', async (t) => {
  const door = await openDoor(t, { limits: { tableEntries: 3 } })
  const id = await newService(door)
  const version = `/service/${id}/version/1`
  await door.call('POST', `${version}/backend`, { name: 'o', address: 'o.example.test' })
  const { id: flags } = (await door.call('POST', `${version}/dictionary`, { name: 'flags' })).body
  const { id: office } = (await door.call('POST', `${version}/acl`, { name: 'office' })).body
  await door.call('PUT', `${version}/activate`)
  const lookups = () => [...door.control.snapshot.sites][0]!.lookups

  const items = `/service/${id}/dictionary/${flags}/item`
  assert.equal((await door.call('POST', items, { item_key: 'a/b', item_value: '1' })).body.item_key, 'a/b')
  assert.equal((await door.call('POST', items, { item_key: 'a/b', item_value: '2' })).status, 409)
  assert.equal((await door.call('PUT', `${items}/c`, { item_value: '3' })).body.item_value, '3')
  assert.equal((await door.call('PATCH', `${items}/none`, { item_value: '3' })).status, 404)
  assert.equal((await door.call('GET', `${items}/a%2Fb`)).body.item_value, '1')
  assert.deepEqual(lookups()?.tables, { flags: { 'a/b': '1', c: '3' } })
  const batch = (ops: object[]) =>
    door.call('PATCH', `${items}s`, JSON.stringify({ items: ops }), { 'content-type': 'application/json' })
  assert.equal(
    (
      await batch([
        { op: 'delete', item_key: 'c' },
        { op: 'update', item_key: 'none', item_value: '' },
      ])
    ).status,
    404,
  )
  assert.deepEqual(lookups()?.tables, { flags: { 'a/b': '1', c: '3' } }, 'a batch is applied whole or not at all')
  await batch([
    { op: 'delete', item_key: 'c' },
    { op: 'upsert', item_key: 'd', item_value: '4' },
  ])
  assert.deepEqual(lookups()?.tables, { flags: { 'a/b': '1', d: '4' } })
  assert.match(
    (await batch(['e', 'f'].map((item_key) => ({ op: 'create', item_key, item_value: '' })))).body.detail,
    /More than 3/,
  )
  assert.match((await door.call('PUT', `${items}/${'k'.repeat(257)}`, { item_value: '' })).body.detail, /256 bytes/)

  const entries = `/service/${id}/acl/${office}/entry`
  const { body: entry } = await door.call('POST', entries, {
    ip: '10.0.0.0',
    subnet: '8',
    negated: '0',
    comment: 'all',
  })
  await door.call('PATCH', `${entries}/${entry.id}`, { subnet: '16' })
  assert.deepEqual(
    lookups()?.lists.office?.map(({ address, prefix }) => [address, prefix]),
    [['10.0.0.0', 16]],
  )
  for (const wrong of [{ ip: 'here' }, { ip: '10.0.0.1', subnet: '33' }])
    assert.equal((await door.call('POST', entries, wrong)).status, 400)
  assert.equal((await door.call('DELETE', `${entries}/${entry.id}`)).status, 200)
  assert.deepEqual(lookups()?.lists, { office: [] })
  assert.equal((await door.call('GET', `/service/${id}/dictionary/${office}/items`)).status, 404)
  assert.deepEqual(door.bugs, [])
})

test('services outlive the process, with their drafts and tables', async (t) => {
  const fabric = createMemoryFabric(Date.now)
  const before = await openDoor(t, { fabric })
  const id = await serving(before)
  await before.call('PUT', `/service/${id}/version/1/clone`)
  const { id: flags } = (await before.call('POST', `/service/${id}/version/2/dictionary`, { name: 'flags' })).body
  await before.call('POST', `/service/${id}/dictionary/${flags}/item`, { item_key: 'k', item_value: 'v' })
  const after = await openDoor(t, { fabric })
  assert.deepEqual([...after.control.snapshot.sites], [...before.control.snapshot.sites])
  assert.equal((await after.call('GET', `/service/${id}/version/2/backend/o`)).body.address, 'o.example.test')
  await after.call('PUT', `/service/${id}/version/2/activate`)
  assert.deepEqual([...after.control.snapshot.sites][0]!.lookups?.tables, { flags: { k: 'v' } })
  assert.deepEqual(after.control.problems, [])
})

test('purge by URL, by key and of all', async (t) => {
  const door = await openDoor(t, { limits: { purgeKeys: 3 } })
  const id = await serving(door)
  const purge = async (path: string, headers: Record<string, string> = {}, body?: string) => {
    door.purged.length = 0
    const { status, body: answer } = await door.call('POST', path, body, headers)
    return { status, answer, wishes: [...door.purged] }
  }
  const url = await purge('/purge/https://Shop.Example.test:8443/a//b?x=1&y=%2F')
  assert.equal(url.answer.status, 'ok')
  assert.equal(url.answer.id, 'local-1-1')
  const page = 'https://shop.example.test/a//b?x=1&y=%2F'
  assert.deepEqual(url.wishes, [{ scope: 'shop', soft: false, what: { kind: 'url', url: page } }])
  assert.equal((await purge('/purge/shop.example.test/x', { 'fastly-soft-purge': '1' })).wishes[0]!.soft, true)
  assert.equal((await purge('/purge/other.example.test/x')).status, 404)
  assert.equal((await purge('/purge/')).status, 400)

  const tag = (name: string) => ({ scope: 'shop', soft: false, what: { kind: 'tag', tag: name } })
  assert.deepEqual((await purge(`/service/${id}/purge/a%2Fb`)).wishes, [tag('a/b')])
  const batch = await purge(`/service/${id}/purge`, { 'surrogate-key': 'k1  k2 k1' })
  assert.deepEqual(Object.keys(batch.answer), ['k1', 'k2'])
  assert.deepEqual(batch.wishes, [tag('k1'), tag('k2')])
  const json = { 'content-type': 'application/json' }
  assert.deepEqual((await purge(`/service/${id}/purge`, json, '{"surrogate_keys":["k3"]}')).wishes, [tag('k3')])
  for (const body of ['{"keys":[]}', '{"surrogate_keys":[]}', 'no', '{"surrogate_keys":["1","2","3","4"]}'])
    assert.deepEqual((await purge(`/service/${id}/purge`, json, body)).wishes, [])

  const everything = [{ scope: 'shop', soft: false, what: { kind: 'everything' } }]
  assert.deepEqual(await purge(`/service/${id}/purge_all`), {
    status: 200,
    answer: { status: 'ok' },
    wishes: everything,
  })
  assert.equal((await purge(`/service/${id}/purge_all`, { 'fastly-soft-purge': '1' })).status, 400)
  assert.equal((await purge('/service/none/purge_all')).status, 404)
  assert.deepEqual(door.bugs, [])
})

test('changes at the same time lose nothing', async (t) => {
  const door = await openDoor(t)
  const id = await serving(door)
  await door.call('PUT', `/service/${id}/version/1/clone`)
  const draft = `/service/${id}/version/2`
  const { id: flags } = (await door.call('POST', `${draft}/dictionary`, { name: 'flags' })).body
  const names = Array.from({ length: 25 }, (_, index) => `n${index}`)
  const answers = await Promise.all(
    names.flatMap((name) => [
      door.call('POST', `${draft}/domain`, { name: `${name}.example.test` }),
      door.call('POST', `/service/${id}/dictionary/${flags}/item`, { item_key: name, item_value: name }),
      door.call('PUT', `/service/${id}/version/1/clone`),
    ]),
  )
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
  assert.equal((await door.call('GET', `${draft}/domain`)).body.length, 26)
  assert.equal((await door.call('GET', `/service/${id}/dictionary/${flags}/items`)).body.length, 25)
  const { body: versions } = await door.call('GET', `/service/${id}/version`)
  assert.deepEqual(
    versions.map(({ number }: { number: number }) => number),
    Array.from({ length: 27 }, (_, index) => index + 1),
  )
})

test('a renamed service is another site, and forgets what it had stored', async (t) => {
  const door = await openDoor(t)
  const id = await newService(door)
  await door.call('POST', `/service/${id}/version/1/backend`, { name: 'o', address: 'o.example.test' })
  await door.call('PUT', `/service/${id}/version/1/activate`)
  const other = await newService(door, 'other')
  assert.equal((await door.call('PUT', `/service/${id}`, { name: 'Other' })).status, 409)
  assert.equal((await door.call('PUT', `/service/${id}`, { name: 'New Shop', comment: 'c' })).body.name, 'New Shop')
  assert.deepEqual(
    door.control.snapshot.sites.map(({ name, hostnames }) => [name, hostnames]),
    [['new-shop', ['new-shop.localhost']]],
  )
  assert.deepEqual(door.purged, [{ scope: 'shop', soft: false, what: { kind: 'everything' } }])
  assert.equal((await door.call('DELETE', `/service/${other}`)).status, 200)
  const { body } = await door.call('GET', '/service?page=1&per_page=1&sort=name')
  assert.deepEqual(
    body.map(({ name }: { name: string }) => name),
    ['New Shop'],
  )
})
