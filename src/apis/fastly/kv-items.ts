/** Keys of KV stores. https://www.fastly.com/documentation/reference/api/services/resources/kv-store-item/ */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { KvValue } from '#/core/ports.ts'
import { keepText, showText } from '#/core/text-metadata.ts'
import type { FastlyApiDeps } from './deps.ts'
import { badRequest, FastlyError, notFound } from './errors.ts'
import { metaOf } from './kv-stores.ts'
import { readLimit } from './pages.ts'
import { readBytes } from './read-body.ts'

const path = '/resources/stores/kv/:store'

const batchLine = z.object({
  key: z.string().min(1),
  value: z.base64(),
  metadata: z.string().optional(),
  time_to_live_sec: z.int().positive().optional(),
})

/** Each attempt of an append fails only when another write of the key got in between. */
const attempts = 20

export function kvItemRoutes({ compute: { kv }, limits, clock }: FastlyApiDeps): Hono {
  const routes = new Hono()
  const one = `${path}/keys/:key{.+}`
  const at = (c: Context) => c.req.param() as { readonly store: string; readonly key: string }
  const expiry = (seconds: number | undefined) => (seconds === undefined ? {} : { expiresAt: clock() + seconds * 1000 })

  routes.get(`${path}/keys`, async (c) => {
    const { prefix = '', cursor = '', consistency = 'strong' } = c.req.query()
    if (!['strong', 'eventual'].includes(consistency)) throw badRequest('consistency is strong or eventual.')
    const limit = readLimit(c, limits.kvListKeys)
    const page = await kv.list(at(c).store, { prefix, limit, ...(cursor !== '' && { cursor }) })
    return c.json({ data: page.keys.map(({ name }) => name), meta: { ...metaOf(limit, page.cursor), prefix } })
  })

  routes.get(one, async (c) => {
    const { store, key } = at(c)
    const found = await kv.get(store, key)
    if (found === undefined) throw noKey(key)
    c.header('generation', String(found.revision ?? 0))
    c.header('content-type', 'application/octet-stream')
    if (found.metadata !== undefined) c.header('metadata', encodeHeader(showText(found.metadata)))
    return c.body(found.value as Uint8Array<ArrayBuffer>)
  })

  routes.put(one, async (c) => {
    const { store, key } = at(c)
    const mode = modeOf(c)
    const expect = generationOf(c)
    const value = await readBytes(c, limits.kvValueBytes, 'The value')
    const metadata = c.req.header('metadata')
    const given = {
      ...(metadata !== undefined && metadata !== '' && { metadata: keepText(decodeHeader(metadata), limits) }),
      ...expiry(secondsOf(c)),
    }
    if (mode === 'append' || mode === 'prepend') await join(store, key, { value, ...given }, mode, expect)
    else await put(store, key, { value, ...given }, mode === 'add' ? 0 : expect)
    return c.body(null, 200)
  })

  async function put(store: string, key: string, value: KvValue, expect: number | undefined): Promise<void> {
    const revision = await kv.put(store, key, value, expect === undefined ? {} : { expect })
    if (revision === undefined) throw unmet(key)
  }

  /** Metadata and expiration of before stay unless there are new ones. */
  async function join(store: string, key: string, added: KvValue, mode: 'append' | 'prepend', expect?: number) {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const before = await kv.get(store, key)
      const revision = before?.revision ?? 0
      if (expect !== undefined && expect !== revision) throw unmet(key)
      const parts = [before?.value ?? new Uint8Array(), added.value]
      const { revision: _revision, ...kept } = before ?? { value: added.value }
      const value = { ...kept, ...added, value: Buffer.concat(mode === 'append' ? parts : parts.reverse()) }
      if ((await kv.put(store, key, value, { expect: revision })) !== undefined) return
    }
    throw new FastlyError(409, 'Conflict', `The key '${key.slice(0, 100)}' is written to too often at the same time.`)
  }

  routes.delete(one, async (c) => {
    const { store, key } = at(c)
    const expect = generationOf(c)
    const gone = await kv.delete(store, key, expect === undefined ? {} : { expect })
    if (!gone && expect !== undefined) throw unmet(key)
    if (!gone && c.req.query('force') !== 'true') throw noKey(key)
    return c.body(null, 204)
  })

  /** Lines are all read before the first is written; a key that its store refuses ends it there, and says so. */
  routes.put(`${path}/batch`, async (c) => {
    const body = await readBytes(c, limits.kvBulkBytes, 'The batch')
    const lines = body
      .toString('utf8')
      .split('\n')
      .filter((line) => line.trim() !== '')
    if (lines.length > limits.kvBulkKeys) throw badRequest(`A batch has at most ${limits.kvBulkKeys} lines.`)
    const entries = lines.map(readLine)
    for (const { key, value, metadata, time_to_live_sec } of entries)
      await kv.put(at(c).store, key, {
        value: Buffer.from(value, 'base64'),
        ...(metadata !== undefined && metadata !== '' && { metadata: keepText(metadata, limits) }),
        ...expiry(time_to_live_sec),
      })
    return c.json({ type: '', title: 'success', errors: [] })
  })
  return routes
}

function modeOf(c: Context): 'overwrite' | 'add' | 'append' | 'prepend' {
  const asked = (['add', 'append', 'prepend'] as const).filter((mode) => c.req.query(mode) === 'true')
  if (asked.length > 1) throw badRequest(`${asked.join(' and ')} exclude each other.`)
  return asked[0] ?? 'overwrite'
}

function generationOf(c: Context): number | undefined {
  const text = c.req.header('if-generation-match')
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,15}$/.test(text)) throw badRequest('if-generation-match is a number.')
  return Number(text)
}

function secondsOf(c: Context): number | undefined {
  const text = c.req.header('time_to_live_sec')
  if (text === undefined || text === '' || text === '0') return undefined
  if (!/^[1-9]\d{0,9}$/.test(text)) throw badRequest('time_to_live_sec is a number of seconds.')
  return Number(text)
}

function readLine(line: string, index: number): z.infer<typeof batchLine> {
  let parsed: unknown
  try {
    parsed = JSON.parse(line)
  } catch {
    throw badRequest(`Line ${index + 1} of the batch is not JSON.`)
  }
  const read = batchLine.safeParse(parsed)
  if (read.success) return read.data
  const { path: where, message } = read.error.issues[0]!
  throw badRequest(`Line ${index + 1} of the batch: ${where.join('.')}: ${message}.`)
}

/** Field values are bytes, and this text is UTF-8. */
const encodeHeader = (text: string) => Buffer.from(text.replace(/[\x00-\x08\x0a-\x1f\x7f]/g, ' ')).toString('latin1')
const decodeHeader = (value: string) => Buffer.from(value, 'latin1').toString('utf8')

const noKey = (key: string) => notFound(`There is no key '${key.slice(0, 100)}' in this KV store.`)
const unmet = (key: string) =>
  new FastlyError(412, 'Precondition failed', `The key '${key.slice(0, 100)}' is there already, or was changed.`)
