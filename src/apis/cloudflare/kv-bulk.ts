/** Cloudflare's calls for many KV keys at once. All of a call is checked before any of it is written. */
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { ofWorkers, refuseValue } from '#/core/kv-rules.ts'
import type { KvValue } from '#/core/ports.ts'
import { ok, VendorError } from './envelope.ts'
import { readExpiration } from './kv-expiration.ts'
import {
  act,
  type KvRoutesParts,
  keepsMetadata,
  kvPath,
  readJson,
  requireKey,
  requireNamespace,
  toVendor,
} from './kv-request.ts'

const pairSchema = z.strictObject({
  key: z.string(),
  value: z.string(),
  base64: z.boolean().optional(),
  expiration: z.number().optional(),
  expiration_ttl: z.number().optional(),
  metadata: z.unknown().optional(),
})

const keysSchema = z.array(z.string())

const getSchema = z.strictObject({
  keys: keysSchema,
  type: z.enum(['text', 'json']).default('text'),
  withMetadata: z.boolean().default(false),
})

/** Writes under way at once: they share transactions, and stay far below what may wait for the disk. */
const together = 128

export function bulkRoutes(app: Hono, parts: KvRoutesParts): void {
  const { kv, limits } = parts

  app.put(`${kvPath}/:id/bulk`, async (c) => {
    const { id } = await requireNamespace(c, parts, 'bulk put keys')
    const pairs = read(z.array(pairSchema), await readJson(c, limits.kvBulkBytes, 'bulk put keys'), 'bulk put keys')
    requireCount(pairs.length, limits.kvBulkKeys, 'bulk put keys')
    const writes = pairs.map((pair) => [pair.key, toValue(pair, parts)] as const)
    for (const [key, { value, metadata }] of writes) {
      requireKey('bulk put keys', key, limits)
      const refusal = refuseValue(value.byteLength, metadata, ofWorkers(limits))
      if (refusal !== undefined) throw toVendor('bulk put keys', refusal)
    }
    await inGroups(writes, ([key, value]) => act('bulk put keys', () => kv.put(id, key, value)))
    return ok(c, { successful_key_count: writes.length, unsuccessful_keys: [] })
  })

  const remove = async (c: Context) => {
    const { id } = await requireNamespace(c, parts, 'bulk remove keys')
    const keys = read(keysSchema, await readJson(c, limits.kvBulkBytes, 'bulk remove keys'), 'bulk remove keys')
    requireCount(keys.length, limits.kvBulkKeys, 'bulk remove keys')
    for (const key of keys) requireKey('bulk remove keys', key, limits)
    await inGroups(keys, (key) => act('bulk remove keys', () => kv.delete(id, key)))
    return ok(c, { successful_key_count: keys.length, unsuccessful_keys: [] })
  }
  app.delete(`${kvPath}/:id/bulk`, remove)
  app.post(`${kvPath}/:id/bulk/delete`, remove)

  app.post(`${kvPath}/:id/bulk/get`, async (c) => {
    const { id } = await requireNamespace(c, parts, 'bulk get keys')
    const wanted = read(getSchema, await readJson(c, limits.kvBulkBytes, 'bulk get keys'), 'bulk get keys')
    requireCount(wanted.keys.length, limits.kvBulkGetKeys, 'bulk get keys')
    const values: [string, unknown][] = []
    let bytes = 0
    for (const key of wanted.keys) {
      requireKey('bulk get keys', key, limits)
      const found = await act('bulk get keys', () => kv.get(id, key))
      bytes += found?.value.byteLength ?? 0
      if (bytes > limits.kvValueBytes)
        throw new VendorError(413, 10033, `bulk get keys: 'The values are larger than ${limits.kvValueBytes} bytes.'`)
      values.push([key, found === undefined ? null : shown(key, found, wanted)])
    }
    return ok(c, { values: Object.fromEntries(values) })
  })
}

function shown(key: string, found: KvValue, { type, withMetadata }: z.infer<typeof getSchema>): unknown {
  const text = Buffer.from(found.value).toString()
  const value = type === 'json' ? parse(key, text) : text
  if (!withMetadata) return value
  const metadata = found.metadata === undefined ? null : JSON.parse(found.metadata)
  return { value, metadata, ...(found.expiresAt !== undefined && { expiration: found.expiresAt / 1000 }) }
}

function parse(key: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new VendorError(400, 10033, `bulk get keys: 'The value of the key "${key}" is not JSON.'`)
  }
}

function toValue(pair: z.infer<typeof pairSchema>, { limits, clock }: KvRoutesParts): KvValue {
  const given = { expiration: pair.expiration, ttl: pair.expiration_ttl }
  const expiration = readExpiration(given, clock(), limits.kvMinimumTtlS)
  if (!expiration.ok) throw invalid(pair.key, expiration.message)
  const { ok: _, ...end } = expiration
  const value = Buffer.from(pair.value, pair.base64 ? 'base64' : 'utf8')
  if (pair.base64 && value.toString('base64').replace(/=+$/, '') !== pair.value.replace(/=+$/, ''))
    throw invalid(pair.key, 'The value is not base64.')
  const metadata = pair.metadata === undefined ? undefined : JSON.stringify(pair.metadata)
  return { value, ...end, ...(keepsMetadata(metadata) && { metadata }) }
}

function invalid(key: string, message: string): VendorError {
  return new VendorError(400, 10033, `bulk put keys: 'key "${key}": ${message}'`)
}

function read<Schema extends z.ZodType>(schema: Schema, body: unknown, verb: string): z.infer<Schema> {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new VendorError(400, 10033, `${verb}: '${issue!.path.join('.') || 'body'}: ${issue!.message}'`)
}

function requireCount(count: number, most: number, verb: string): void {
  if (count > most) throw new VendorError(400, 10033, `${verb}: 'You gave ${count} keys; ${most} is the most.'`)
}

async function inGroups<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < items.length; at += together) await Promise.all(items.slice(at, at + together).map(work))
}
