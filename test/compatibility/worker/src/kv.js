import { equal, rejects } from './expect.js'

export const kvChecks = {
  async 'kv-text'({ KV }) {
    await KV.put('text', 'grüße')
    equal(await KV.get('text'), 'grüße')
    equal(await KV.get('text', 'text'), 'grüße')
    equal(await KV.get('absent'), null)
  },
  async 'kv-types'({ KV }) {
    await KV.put('json', JSON.stringify({ a: 1 }))
    equal(await KV.get('json', 'json'), { a: 1 })
    equal(await KV.get('json', { type: 'json', cacheTtl: 60 }), { a: 1 })
    await KV.put('bytes', new Uint8Array([0, 255, 10, 13]))
    const buffer = await KV.get('bytes', 'arrayBuffer')
    equal(buffer instanceof ArrayBuffer, true)
    equal([...new Uint8Array(buffer)], [0, 255, 10, 13])
    const stream = await KV.get('bytes', 'stream')
    equal([...new Uint8Array(await new Response(stream).arrayBuffer())], [0, 255, 10, 13])
    await KV.put('streamed', new Response('from a stream').body)
    equal(await KV.get('streamed'), 'from a stream')
  },
  async 'kv-metadata'({ KV }) {
    await KV.put('meta', 'v', { metadata: { by: 'me', n: 1 } })
    const { value, metadata } = await KV.getWithMetadata('meta')
    equal({ value, metadata }, { value: 'v', metadata: { by: 'me', n: 1 } })
    const absent = await KV.getWithMetadata('no such key')
    equal([absent.value, absent.metadata], [null, null])
  },
  async 'kv-expiration'({ KV }) {
    await KV.put('ttl', 'v', { expirationTtl: 3600 })
    const { keys } = await KV.list({ prefix: 'ttl' })
    const left = keys[0].expiration - Date.now() / 1000
    equal(left > 3590 && left <= 3601, true, `expires in ${left} s:`)
    await rejects(() => KV.put('ttl', 'v', { expirationTtl: 5 }), 'at least 60')
  },
  async 'kv-list'({ KV }) {
    for (const n of [1, 2, 3]) await KV.put(`list:${n}`, 'v', { metadata: { n } })
    const first = await KV.list({ prefix: 'list:', limit: 2 })
    equal(
      first.keys.map((key) => [key.name, key.metadata.n]),
      [
        ['list:1', 1],
        ['list:2', 2],
      ],
    )
    equal(first.list_complete, false)
    const rest = await KV.list({ prefix: 'list:', limit: 2, cursor: first.cursor })
    equal(
      rest.keys.map((key) => key.name),
      ['list:3'],
    )
    equal(rest.list_complete, true)
  },
  async 'kv-bulk-get'({ KV }) {
    await KV.put('bulk:a', '1')
    await KV.put('bulk:b', '{"x":2}')
    const texts = await KV.get(['bulk:a', 'bulk:none'])
    equal(texts instanceof Map, true)
    equal(
      [...texts],
      [
        ['bulk:a', '1'],
        ['bulk:none', null],
      ],
    )
    equal((await KV.get(['bulk:b'], 'json')).get('bulk:b'), { x: 2 })
  },
  async 'kv-delete'({ KV }) {
    await KV.put('gone', 'v')
    await KV.delete('gone')
    equal(await KV.get('gone'), null)
    await KV.delete('never was')
  },
  async 'kv-limits'({ KV }) {
    await rejects(() => KV.put('k'.repeat(513), 'v'), '414')
    await rejects(() => KV.put('', 'v'), 'cannot be empty')
    await rejects(() => KV.put('m', 'v', { metadata: 'x'.repeat(1100) }), '413')
  },
}
