/**
 * Imports and exports of databases, as `wrangler d1 execute --file` and `d1 export` make them
 * (https://developers.cloudflare.com/d1/best-practices/import-export-data/): both use URLs that anybody may ask who has them, for
 * an hour.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Readable } from 'node:stream'
import { Readable as NodeReadable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { Clock } from '#/core/units.ts'
import { type D1RoutesParts, d1Path, read } from './d1.ts'
import { askDatabase, requireDatabase } from './d1-request.ts'
import { ok, VendorError } from './envelope.ts'
import { readJson } from './read-json.ts'

export interface D1TransferParts extends D1RoutesParts {
  /** Signs the URLs. */
  readonly token: string
  readonly clock: Clock
}

/** Paths of signed URLs, which carry no token of the API. */
export const signedD1Path = /\/accounts\/[^/]+\/d1\/database\/[\w-]+\/(upload|download)\/[\w.-]+$/

const hourMs = 3_600_000

export function d1TransferRoutes(parts: D1TransferParts): Hono {
  const app = new Hono()
  importRoutes(app, parts)
  exportRoutes(app, parts)
  return app
}

const md5 = z.string().regex(/^[0-9a-f]{32}$/)
const importWish = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('init'), etag: md5 }),
  z.strictObject({ action: z.literal('ingest'), etag: md5, filename: z.string() }),
  z.strictObject({ action: z.literal('poll'), current_bookmark: z.string() }),
])

function importRoutes(app: Hono, parts: D1TransferParts): void {
  app.post(`${d1Path}/:database/import`, async (c) => {
    const found = requireDatabase(c, parts)
    const asked = read(importWish, await readJson(c, z.unknown(), 16_384))
    if (asked.action === 'init') {
      const filename = `${found.id}.${asked.etag}.sql`
      const upload_url = sign(parts, c, `${found.id}/upload/${filename}`)
      return ok(c, { success: true, type: 'import', filename, upload_url, at_bookmark: '', messages: [] })
    }
    const operation = asked.action === 'ingest' ? 'import-begin' : 'import-poll'
    const head = asked.action === 'ingest' ? { md5: asked.etag } : {}
    return ok(c, importState((await askDatabase(parts, found, { operation, head })).head))
  })

  app.put(`${d1Path}/:database/upload/:file`, async (c) => {
    checkSigned(parts, c)
    const found = requireDatabase(c, parts)
    const body = c.req.raw.body
    const bytes = body === null ? new Uint8Array(0) : NodeReadable.fromWeb(body as ReadableStream)
    const { head } = await askDatabase(parts, found, { operation: 'import-receive', body: bytes as Readable })
    return c.body(null, 200, { etag: `"${head.md5}"` })
  })
}

function importState(head: Readonly<Record<string, unknown>>): object {
  const { status, error, bytes, queries, rowsWritten, durationMs, bookmark } = head
  const state = { success: true, type: 'import', at_bookmark: bookmark ?? '', messages: [], errors: [] as unknown[] }
  if (status === 'none') return { success: false, error: 'Not currently importing anything.' }
  if (status === 'error') return { ...state, status, error, errors: [error] }
  if (status === 'active') return { ...state, status, messages: [`Processed ${bytes} bytes.`] }
  const meta = {
    served_by: '',
    duration: durationMs,
    changes: rowsWritten,
    last_row_id: 0,
    changed_db: true,
    size_after: bytes,
    rows_read: 0,
    rows_written: rowsWritten,
  }
  return { ...state, status, result: { num_queries: queries, final_bookmark: bookmark, meta } }
}

const exportWish = z.strictObject({
  output_format: z.literal('polling'),
  current_bookmark: z.string().optional(),
  dump_options: z
    .strictObject({
      tables: z.array(z.string().max(1000)).max(1000).default([]),
      no_schema: z.boolean().default(false),
      no_data: z.boolean().default(false),
    })
    .prefault({}),
})

function exportRoutes(app: Hono, parts: D1TransferParts): void {
  app.post(`${d1Path}/:database/export`, async (c) => {
    const found = requireDatabase(c, parts)
    const { dump_options: wish } = read(exportWish, await readJson(c, z.unknown(), 1024 * 1024))
    const options = { tables: wish.tables, schema: !wish.no_schema, data: !wish.no_data }
    // The URL gives the database as it is when it is asked; whether it can be written as SQL is known before.
    const { head } = await askDatabase(parts, found, { operation: 'export-check', head: options })
    const state = { success: true, type: 'export', at_bookmark: head.bookmark, messages: [] }
    if (typeof head.refused === 'string') return ok(c, { ...state, status: 'error', error: head.refused })
    const filename = `${found.id}.${randomBytes(8).toString('hex')}.sql`
    const signed_url = sign(parts, c, `${found.id}/download/${filename}`, JSON.stringify(options))
    return ok(c, { ...state, status: 'complete', result: { filename, signed_url } })
  })

  app.get(`${d1Path}/:database/download/:file`, async (c) => {
    const options = JSON.parse(checkSigned(parts, c)) as Record<string, unknown>
    const found = requireDatabase(c, parts)
    const signal = c.req.raw.signal
    const { body } = await askDatabase(parts, found, { operation: 'export', head: options, signal })
    const stream = NodeReadable.toWeb(body as Readable) as unknown as globalThis.ReadableStream
    return c.body(stream, 200, { 'content-type': 'application/sql' })
  })
}

/** A URL of this API below the databases, good for an hour, with what it is about. */
function sign({ token, clock }: D1TransferParts, c: Context, path: string, about = ''): string {
  const url = new URL(c.req.url)
  const account = c.req.param('account')!
  const until = `${clock() + hourMs}`
  const [, prefix = ''] = /^(.*)\/accounts\//.exec(url.pathname) ?? []
  const signed = new URL(`${prefix}/accounts/${account}/d1/database/${path}`, url)
  signed.searchParams.set('until', until)
  if (about !== '') signed.searchParams.set('about', about)
  signed.searchParams.set('signature', signature(token, path, until, about))
  return signed.href
}

function signature(token: string, path: string, until: string, about: string): string {
  return createHmac('sha256', token)
    .update(JSON.stringify(['d1', path, until, about]))
    .digest('hex')
}

/** Answers what the URL is about. Throws a `VendorError` for one that was not signed here, or too long ago. */
function checkSigned({ token, clock }: D1TransferParts, c: Context): string {
  const { until = '', about = '', signature: given = '' } = c.req.query()
  const [, path = ''] = /\/d1\/database\/(.*)$/.exec(new URL(c.req.url).pathname) ?? []
  const wanted = Buffer.from(signature(token, path, until, about))
  const isSigned = given.length === wanted.length && timingSafeEqual(Buffer.from(given.padEnd(64).slice(0, 64)), wanted)
  if (!isSigned || Number(until) < clock()) throw new VendorError(403, 7403, 'This URL is not valid, or not any more.')
  return about
}
