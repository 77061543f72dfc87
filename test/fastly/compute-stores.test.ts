/** What Compute programs keep, filled with the unmodified CLI and read through the ports that programs read through. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ComputePlatform, forCli, startComputePlatform } from '../support/compute-platform.ts'
import { fastly } from '../support/fastly.ts'

const cliOf =
  (platform: ComputePlatform) =>
  async (...args: string[]) =>
    (await fastly(forCli(platform), args)).output

/** Whatever the command prints as JSON. */
const jsonOf =
  (platform: ComputePlatform) =>
  async (...args: string[]) =>
    JSON.parse((await fastly(forCli(platform), [...args, '--json'])).output)

test('config stores: items made, changed, listed, removed', async (t) => {
  const platform = await startComputePlatform(t)
  const [cli, json] = [cliOf(platform), jsonOf(platform)]
  const { id } = await json('config-store', 'create', '--name', 'settings')
  const on = ['--store-id', id]
  await cli('config-store-entry', 'create', ...on, '--key', 'a', '--value', '1')
  await cli('config-store-entry', 'create', ...on, '--key', 'a/b c', '--value', 'two words')
  assert.equal(await platform.config.get(id, 'a'), '1')
  assert.equal(await platform.config.get(id, 'a/b c'), 'two words')
  await cli('config-store-entry', 'update', ...on, '--key', 'a', '--value', '3')
  await cli('config-store-entry', 'update', ...on, '--key', 'new', '--value', '4', '--upsert')
  assert.deepEqual(
    (await json('config-store-entry', 'list', ...on)).map((one: { item_key: string; item_value: string }) => [
      one.item_key,
      one.item_value,
    ]),
    [
      ['a', '3'],
      ['a/b c', 'two words'],
      ['new', '4'],
    ],
  )
  assert.equal((await json('config-store-entry', 'describe', ...on, '--key', 'a')).item_value, '3')
  assert.match(await cli('config-store', 'describe', ...on, '--metadata'), /Item Count: 3/)
  await cli('config-store', 'update', ...on, '--name', 'renamed')
  assert.match(await cli('config-store', 'list'), /renamed/)
  await cli('config-store', 'list-services', ...on)
  await cli('config-store-entry', 'delete', ...on, '--key', 'a')
  assert.equal(await platform.config.get(id, 'a'), undefined)
  await cli('config-store-entry', 'delete', ...on, '--all', '--auto-yes')
  await cli('config-store', 'delete', ...on)
  assert.deepEqual(JSON.parse((await platform.call('GET', '/resources/stores/config')).body), [])
  assert.deepEqual(platform.bugs, [])
})

test('secret stores: sealed on the way and at rest, never shown', async (t) => {
  const platform = await startComputePlatform(t)
  const [cli, json] = [cliOf(platform), jsonOf(platform)]
  const { id } = await json('secret-store', 'create', '--name', 'keys')
  const on = ['--store-id', id]
  const put = (input: string, ...more: string[]) =>
    fastly(forCli(platform), ['secret-store-entry', 'create', ...on, '--name', 's', '--stdin', ...more], { input })
  const read = async () => Buffer.from((await platform.secrets.get(id, 's'))!).toString()
  await put('hunter2 🔑')
  assert.equal(await read(), 'hunter2 🔑')
  const first = (await json('secret-store-entry', 'describe', ...on, '--name', 's')).digest
  await put('another', '--recreate')
  assert.equal(await read(), 'another')
  assert.notEqual((await json('secret-store-entry', 'describe', ...on, '--name', 's')).digest, first)
  await put('x'.repeat(60_000), '--recreate-allow')
  assert.equal((await read()).length, 60_000)
  assert.match(await cli('secret-store-entry', 'list', ...on), /\bs\b/)
  assert.match(await cli('secret-store', 'list'), /keys/)
  await cli('secret-store', 'describe', ...on)

  await platform.call('POST', `/resources/stores/secret/${id}/secrets`, {
    body: JSON.stringify({ name: 'plain', secret: Buffer.from('in clear').toString('base64') }),
  })
  assert.equal(Buffer.from((await platform.secrets.get(id, 'plain'))!).toString(), 'in clear')
  const stored = await platform.fabric.bucket('item-stores').get(`secret/${id}`)
  assert.doesNotMatch(Buffer.from(stored!.value).toString(), /in clear|aW4gY2xlYX/)
  for (const path of ['', '/secrets', '/secrets/plain'])
    assert.doesNotMatch((await platform.call('GET', `/resources/stores/secret/${id}${path}`)).body, /in clear|aW4gY2xl/)

  await cli('secret-store-entry', 'delete', ...on, '--name', 's')
  assert.equal(await platform.secrets.get(id, 's'), undefined)
  await cli('secret-store', 'delete', ...on)
  assert.deepEqual(platform.bugs, [])
})

test('access lists: the longest prefix decides', async (t) => {
  const platform = await startComputePlatform(t)
  const [cli, json] = [cliOf(platform), jsonOf(platform)]
  const { id } = await json('compute', 'acl', 'create', '--name', 'visitors')
  const on = ['--acl-id', id]
  const update = (operation: string, prefix: string, action: string) =>
    cli('compute', 'acl', 'update', ...on, '--operation', operation, '--prefix', prefix, '--action', action)
  await update('create', '192.0.2.0/24', 'BLOCK')
  await update('create', '192.0.2.7/32', 'ALLOW')
  await update('create', '2001:db8::/32', 'BLOCK')
  const lookups: [string, object | undefined][] = [
    ['192.0.2.1', { prefix: '192.0.2.0/24', action: 'BLOCK' }],
    ['192.0.2.7', { prefix: '192.0.2.7/32', action: 'ALLOW' }],
    ['::ffff:192.0.2.7', { prefix: '192.0.2.7/32', action: 'ALLOW' }],
    ['2001:db8:1::1', { prefix: '2001:db8::/32', action: 'BLOCK' }],
    ['198.51.100.1', undefined],
    ['no address', undefined],
  ]
  for (const [address, found] of lookups) assert.deepEqual(await platform.lists.lookup(id, address), found, address)
  assert.match(await cli('compute', 'acl', 'lookup', ...on, '--ip', '192.0.2.7'), /ALLOW/)
  await cli('compute', 'acl', 'lookup', ...on, '--ip', '198.51.100.1')
  assert.match(await cli('compute', 'acl', 'list-entries', ...on), /2001:db8::\/32/)
  await update('update', '192.0.2.0/24', 'ALLOW')
  assert.equal((await platform.lists.lookup(id, '192.0.2.1'))?.action, 'ALLOW')
  await platform.call('PATCH', `/resources/acls/${id}/entries`, {
    body: JSON.stringify({ entries: [{ op: 'delete', prefix: '192.0.2.0/24' }] }),
  })
  assert.equal(await platform.lists.lookup(id, '192.0.2.1'), undefined)
  assert.match(await cli('compute', 'acl', 'list-acls'), /visitors/)
  await cli('compute', 'acl', 'describe', ...on)
  await cli('compute', 'acl', 'delete', ...on)
  assert.equal(await platform.lists.lookup(id, '192.0.2.7'), undefined)
  assert.deepEqual(platform.bugs, [])
})

test('KV stores: keys with metadata, modes, batches and generations', async (t) => {
  const platform = await startComputePlatform(t)
  const [cli, json] = [cliOf(platform), jsonOf(platform)]
  const { StoreID: id = '' } = await json('kv-store', 'create', '--name', 'notes').then((one) => ({
    StoreID: one.StoreID ?? one.id,
  }))
  const on = ['--store-id', id]
  const value = async (key: string) => {
    const found = await platform.kv.get(id, key)
    return found && Buffer.from(found.value).toString()
  }
  const create = (key: string, text: string, ...more: string[]) =>
    cli('kv-store-entry', 'create', ...on, '--key', key, '--value', text, ...more)
  await create('a/b c', 'one', '--metadata', 'größe: 3', '--if-generation-match', '0')
  assert.equal(await value('a/b c'), 'one')
  await create('a/b c', ' two', '--append')
  await create('a/b c', 'zero ', '--prepend')
  assert.equal(await value('a/b c'), 'zero one two')
  assert.match(await cli('kv-store-entry', 'get', ...on, '--key', 'a/b c'), /zero one two/)
  const described = await cli('kv-store-entry', 'describe', ...on, '--key', 'a/b c')
  assert.match(described, /größe: 3/)
  const twice = await fastly(
    forCli(platform),
    ['kv-store-entry', 'create', ...on, '--key', 'a/b c', '--value', 'x', '--add'],
    { mayFail: true },
  )
  assert.match(twice.output, /412|Precondition/)
  assert.equal(await value('a/b c'), 'zero one two')

  const key = `/resources/stores/kv/${id}/keys/${encodeURIComponent('a/b c')}`
  const { revision } = (await platform.kv.get(id, 'a/b c'))!
  const put = (generation: number) =>
    platform.call('PUT', key, { body: 'new', headers: { 'if-generation-match': String(generation) } })
  assert.equal((await put(revision! - 1)).status, 412)
  assert.equal((await put(revision!)).status, 200)
  assert.equal(
    (await platform.call('DELETE', key, { headers: { 'if-generation-match': String(revision) } })).status,
    412,
  )

  const lines = ['p1', 'p2', 'p3'].map((name) =>
    JSON.stringify({ key: name, value: Buffer.from(`value of ${name}`).toString('base64'), metadata: 'm' }),
  )
  await fastly(forCli(platform), ['kv-store-entry', 'create', ...on, '--stdin'], { input: lines.join('\n') })
  assert.equal(await value('p2'), 'value of p2')
  assert.match(await cli('kv-store-entry', 'list', ...on), /p3/)
  const page = JSON.parse((await platform.call('GET', `/resources/stores/kv/${id}/keys?prefix=p&limit=2`)).body)
  assert.deepEqual([page.data, page.meta.limit], [['p1', 'p2'], '2'])

  // A large value lies in a blob, whose mark holds the key too.
  const longest = 'k'.repeat(1024)
  const large = Buffer.alloc(100_000, 'v')
  const keys = `/resources/stores/kv/${id}/keys`
  assert.equal((await platform.call('PUT', `${keys}/${longest}`, { body: large })).status, 200)
  assert.equal((await platform.kv.get(id, longest))?.value.length, large.length)
  assert.match(await cli('kv-store-entry', 'describe', ...on, '--key', longest), /k{1024}/)
  assert.equal((await platform.call('GET', `${keys}?prefix=${longest}k`)).status, 414)

  const metadata = 'm"'.repeat(1000)
  assert.equal((await platform.call('PUT', `${keys}/noted`, { body: 'n', headers: { metadata } })).status, 200)
  assert.equal((await platform.kv.get(id, 'noted'))?.metadata, JSON.stringify(metadata))
  const next = `/resources/stores/kv/${id}/keys?prefix=p&limit=2&cursor=${page.meta.next_cursor}`
  assert.deepEqual(JSON.parse((await platform.call('GET', next)).body).data, ['p3'])

  await cli('kv-store-entry', 'delete', ...on, '--key', 'p1')
  assert.equal(await value('p1'), undefined)
  await cli('kv-store-entry', 'delete', ...on, '--all', '--auto-yes')
  assert.match(await cli('kv-store', 'list'), /notes/)
  await cli('kv-store', 'describe', ...on)
  await cli('kv-store', 'delete', ...on)
  assert.deepEqual(platform.bugs, [])
})

test('what does not fit a store is refused, and changes nothing', async (t) => {
  const platform = await startComputePlatform(t, {
    limits: { itemStores: 4, itemStoreItems: 2, secretBytes: 10, kvBulkKeys: 2 },
  })
  const make = async (kind: string, type = 'application/json') =>
    JSON.parse(
      (
        await platform.call('POST', `/resources/${kind}`, {
          body: type.includes('json') ? '{"name":"one"}' : 'name=one',
          headers: { 'content-type': type },
        })
      ).body,
    ).id as string
  const config = await make('stores/config', 'application/x-www-form-urlencoded')
  const secret = await make('stores/secret')
  const list = await make('acls')
  const kv = await make('stores/kv')
  const json = (body: object) => ({ body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })
  const b64 = (text: string) => Buffer.from(text).toString('base64')
  const key = (await platform.call('POST', '/resources/stores/secret/client-key')).body
  const cases: [string, string, RequestInit | undefined, number, RegExp][] = [
    ['POST', '/resources/stores/config', json({ name: 'one' }), 409, /of this name already/],
    ['POST', '/resources/stores/config', json({ name: '' }), 400, /1 to 255/],
    ['POST', '/resources/stores/kv', json({ name: 'one' }), 409, /of this name already/],
    ['POST', '/resources/stores/kv', json({}), 400, /name of 1 to/],
    ['GET', '/resources/stores/config/nowhere', undefined, 404, /no such config store/],
    ['GET', '/resources/stores/kv/nowhere/keys', undefined, 404, /no such KV store/],
    ['PUT', '/resources/stores/kv/nowhere/keys/a', { body: 'x' }, 404, /no such KV store/],
    ['POST', `/resources/stores/config/${config}/item`, json({ item_key: 'a' }), 400, /item_value is missing/],
    ['POST', `/resources/stores/config/${config}/item`, json({ item_key: '', item_value: '' }), 400, /A key has 1/],
    ['PATCH', `/resources/stores/config/${config}/item/a`, json({ item_value: '1' }), 404, /no item 'a'/],
    [
      'POST',
      `/resources/stores/config/${config}/item`,
      json({ item_key: 'a', item_value: 'x'.repeat(8001) }),
      400,
      /8000/,
    ],
    [
      'PATCH',
      `/resources/stores/config/${config}/items`,
      json({ items: ['a', 'b', 'c'].map((item_key) => ({ op: 'create', item_key, item_value: '1' })) }),
      400,
      /more than 2 items/,
    ],
    [
      'PATCH',
      `/resources/stores/config/${config}/items`,
      json({
        items: [
          { op: 'create', item_key: 'a', item_value: '1' },
          { op: 'delete', item_key: 'b' },
        ],
      }),
      404,
      /no item 'b'/,
    ],
    ['PATCH', `/resources/stores/config/${config}/items`, json({ items: [{ op: 'shout' }] }), 400, /does not fit/],
    ['PATCH', `/resources/stores/config/${config}/items`, { body: '{' }, 400, /not JSON/],
    ['POST', `/resources/stores/secret/${secret}/secrets`, json({ name: 's', secret: '!' }), 400, /not base64/],
    ['POST', `/resources/stores/secret/${secret}/secrets`, json({ name: 's p', secret: b64('x') }), 400, /letters/],
    ['POST', `/resources/stores/secret/${secret}/secrets`, json({ name: 's', secret: b64('x'.repeat(11)) }), 400, /10/],
    ['POST', `/resources/stores/secret/${secret}/secrets`, json({ name: 's', secret: '' }), 400, /1 to 10/],
    ['PATCH', `/resources/stores/secret/${secret}/secrets`, json({ name: 's', secret: b64('x') }), 404, /no item 's'/],
    [
      'POST',
      `/resources/stores/secret/${secret}/secrets`,
      json({ name: 's', secret: b64('x'.repeat(60)), client_key: JSON.parse(key).public_key }),
      400,
      /not sealed with a client key/,
    ],
    [
      'PATCH',
      `/resources/acls/${list}/entries`,
      json({ entries: [{ op: 'create', prefix: '1.2.3.4/33', action: 'BLOCK' }] }),
      400,
      /no network/,
    ],
    [
      'PATCH',
      `/resources/acls/${list}/entries`,
      json({ entries: [{ op: 'create', prefix: '1.2.3.4' }] }),
      400,
      /no action/,
    ],
    [
      'PATCH',
      `/resources/acls/${list}/entries`,
      json({ entries: [{ op: 'create', prefix: '1.2.3.4', action: 'X' }] }),
      400,
      /do not fit/,
    ],
    ['GET', `/resources/acls/${list}/entry/nobody`, undefined, 400, /not an IP address/],
    ['GET', `/resources/acls/${list}/entries?limit=0`, undefined, 400, /limit is a number/],
    ['PUT', `/resources/stores/kv/${kv}/keys/a?add=true&append=true`, { body: 'x' }, 400, /exclude each other/],
    ['PUT', `/resources/stores/kv/${kv}/keys/a`, { body: 'x', headers: { time_to_live_sec: 'soon' } }, 400, /seconds/],
    [
      'PUT',
      `/resources/stores/kv/${kv}/keys/a`,
      { body: 'x', headers: { metadata: 'm'.repeat(2001) } },
      413,
      /Metadata length of 2001 exceeds limit of 2000/,
    ],
    ['PUT', `/resources/stores/kv/${kv}/keys/${'k'.repeat(1025)}`, { body: 'x' }, 414, /exceeds key length/],
    ['PUT', `/resources/stores/kv/${kv}/batch`, { body: '{"key":"a","value":"?"}' }, 400, /Line 1/],
    ['PUT', `/resources/stores/kv/${kv}/batch`, { body: '{}\n{}\n{}' }, 400, /at most 2 lines/],
    ['GET', `/resources/stores/kv/${kv}/keys/a`, undefined, 404, /no key 'a'/],
    ['DELETE', `/resources/stores/kv/${kv}/keys/a`, undefined, 404, /no key 'a'/],
    ['GET', `/resources/stores/kv/${kv}/keys?consistency=maybe`, undefined, 400, /strong or eventual/],
    ['PUT', '/enabled-products/v1/fanout/services/x', json({}), 400, /'fanout' is not supported/],
    ['GET', '/stats/usage', undefined, 400, /not supported/],
  ]
  for (const [method, path, init, status, detail] of cases) {
    const answer = await platform.call(method, path, init)
    assert.equal(answer.status, status, `${method} ${path}: ${answer.body}`)
    assert.match(JSON.parse(answer.body).detail, detail, `${method} ${path}`)
  }
  assert.equal((await platform.call('GET', `/resources/stores/config/${config}/items`)).body, '[]')
  assert.deepEqual(await platform.kv.list(kv, { limit: 10 }), { keys: [] })
  assert.deepEqual(platform.bugs, [])
})

test('stores are there after a restart', async (t) => {
  const before = await startComputePlatform(t)
  const cli = jsonOf(before)
  const { id } = await cli('config-store', 'create', '--name', 'settings')
  await cli('config-store-entry', 'create', '--store-id', id, '--key', 'a', '--value', '1')
  const after = await startComputePlatform(t, { fabric: before.fabric, data: before.data })
  assert.equal(await after.config.get(id, 'a'), '1')
  await before.call('PUT', `/resources/stores/config/${id}/item/a`, { body: 'item_value=2' })
  assert.equal(await after.config.get(id, 'a'), '2', 'another point of presence hears of the change')
})
