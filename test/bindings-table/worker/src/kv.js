import { equal, fails, shaped, until, works } from './case.js'

export const kv = [
  works('KVNamespace: get put delete', async ({ env: { KV } }) => {
    await KV.put('a', 'grüße')
    equal(await KV.get('a'), 'grüße')
    await KV.delete('a')
    equal(await KV.get('a'), null)
    await fails(() => KV.put('k'.repeat(513), 'v'), /414/)
  }),
  works('KVNamespaceGetOptions: type cacheTtl', async ({ env: { KV } }) => {
    await KV.put('types', '{"a":1}')
    equal(await KV.get('types', { type: 'json', cacheTtl: 60 }), { a: 1 })
    equal(await KV.get('types', { type: 'arrayBuffer' }), new TextEncoder().encode('{"a":1}'))
    equal(await new Response(await KV.get('types', { type: 'stream' })).text(), '{"a":1}')
    equal(
      await KV.get(['types', 'none'], { type: 'json' }),
      new Map([
        ['types', { a: 1 }],
        ['none', null],
      ]),
    )
    await fails(() => KV.get('types', { cacheTtl: 5 }), /cache_ttl|cacheTtl/i)
  }),
  works(
    'KVNamespace: getWithMetadata; KVNamespacePutOptions: metadata; KVNamespaceGetWithMetadataResult: value metadata cacheStatus',
    async ({ env: { KV } }) => {
      await KV.put('meta', 'v', { metadata: { by: 'me' } })
      equal(await KV.getWithMetadata('meta'), { value: 'v', metadata: { by: 'me' }, cacheStatus: null })
      const many = await KV.getWithMetadata(['meta'])
      equal(many.get('meta').metadata, { by: 'me' })
    },
  ),
  works(
    'KVNamespacePutOptions: expiration expirationTtl; KVNamespaceListKey: name expiration metadata',
    async ({ env: { KV } }) => {
      const expiration = Math.floor(Date.now() / 1000) + 3600
      await KV.put('ends:at', 'v', { expiration, metadata: 1 })
      await KV.put('ends:in', 'v', { expirationTtl: 3600 })
      const [at, after] = (await KV.list({ prefix: 'ends:' })).keys
      equal(at, { name: 'ends:at', expiration, metadata: 1 })
      equal(Math.abs(after.expiration - expiration) < 5, true)
      await fails(() => KV.put('ends:soon', 'v', { expirationTtl: 5 }), /at least 60/)
    },
  ),
  works(
    'KVNamespace: list; KVNamespaceListOptions: limit prefix cursor; KVNamespaceListResult: list_complete keys cursor cacheStatus',
    async ({ env: { KV } }) => {
      for (const n of [1, 2, 3]) await KV.put(`list:${n}`, 'v')
      const first = await until(async () => {
        const page = await KV.list({ prefix: 'list:', limit: 2 })
        return page.keys.length === 2 ? page : undefined
      })
      equal([first.list_complete, first.keys.map(({ name }) => name)], [false, ['list:1', 'list:2']])
      shaped(first, { cursor: 'string', cacheStatus: 'null' })
      const rest = await KV.list({ prefix: 'list:', cursor: first.cursor })
      equal([rest.list_complete, rest.keys.map(({ name }) => name)], [true, ['list:3']])
    },
  ),
]
