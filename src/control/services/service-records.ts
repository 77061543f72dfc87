/**
 * Services as they lie in the fabric: a service with the heads of its versions and what of it is live, one document a version,
 * one a table. Parts of a version are kept as the door that wrote them gave them; what is live is in our nouns.
 */
import { z } from 'zod'
import type { CacheKeyShape, CachePolicy } from '#/core/cache-policy.ts'
import { compileRules } from '#/core/compile-rules.ts'
import type { DeliveryRules } from '#/core/delivery-rules.ts'
import type { OriginPool } from '#/core/origin.ts'
import { poolRecord } from '../site-form.ts'
import { programDesign } from './service-program.ts'

const text = z.exactOptional(z.string())
const count = z.exactOptional(z.number())
const flag = z.exactOptional(z.boolean())
const named = { name: z.string(), when: text }

const keyShape: z.ZodType<CacheKeyShape> = z.looseObject({
  query: z.exactOptional(
    z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('all') }),
      z.object({ kind: z.literal('none') }),
      z.object({ kind: z.literal('only'), names: z.array(z.string()) }),
      z.object({ kind: z.literal('without'), names: z.array(z.string()) }),
    ]),
  ),
  sortQuery: flag,
  ignoreHost: flag,
  headers: z.exactOptional(z.array(z.string())),
  cookies: z.exactOptional(z.array(z.string())),
})

const pool = poolRecord as unknown as z.ZodType<OriginPool>

const rules: z.ZodType<DeliveryRules> = z.object({
  pools: z.array(z.object({ ...named, pool })),
  requests: z.array(
    z.object({
      ...named,
      tlsOnly: flag,
      pass: flag,
      refresh: flag,
      hostField: text,
      forwardedFor: z.exactOptional(z.enum(['append', 'clear', 'leave', 'overwrite'])),
      key: z.exactOptional(keyShape),
    }),
  ),
  headers: z.array(
    z.object({
      ...named,
      phase: z.enum(['request', 'fetch', 'cache', 'response']),
      action: z.enum(['set', 'append', 'delete', 'replace', 'replace-all']),
      target: z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('field'), field: z.string() }),
        z.object({ kind: z.literal('url') }),
      ]),
      value: text,
      pattern: text,
      replacement: text,
      onlyIfAbsent: z.boolean(),
    }),
  ),
  answers: z.array(
    z.object({
      ...named,
      phase: z.enum(['request', 'cache']),
      status: z.number(),
      reason: text,
      contentType: text,
      body: z.string(),
    }),
  ),
  caching: z.array(z.object({ ...named, action: z.enum(['pass', 'keep']), ttl: count, staleIfError: count })),
  compression: z.array(z.object({ ...named, types: z.array(z.string()), extensions: z.array(z.string()) })),
})

const cache: z.ZodType<CachePolicy> = z.looseObject({
  defaultTtl: count,
  staleWhileRevalidate: count,
  staleIfError: count,
})

/** What the active version means: all that the data plane needs, tables by id. */
const design = z.object({
  hostnames: z.array(z.string()),
  rules,
  cache: z.exactOptional(cache),
  tables: z.record(z.string(), z.string()),
  lists: z.record(z.string(), z.string()),
})

const head = z.object({
  number: z.number(),
  comment: z.string(),
  locked: z.boolean(),
  createdAt: z.number(),
  modifiedAt: z.number(),
})

const service = z.object({
  id: z.string(),
  name: z.string(),
  comment: z.string(),
  /** Its versions are programs; absent: they are rules before an origin. */
  kind: z.exactOptional(z.literal('compute')),
  createdAt: z.number(),
  modifiedAt: z.number(),
  /** Oldest first. */
  versions: z.array(head),
  active: count,
  live: z.exactOptional(design),
  /** Instead of `live`, where versions are programs. */
  program: z.exactOptional(programDesign),
  /** A version beside the active one, for who asks for it. */
  staged: z.exactOptional(z.object({ version: z.number(), program: programDesign })),
  /** The blob with the rest of it, where it stays in countries; see `placed-records.ts`. */
  held: text,
})

/** One thing in a version; kind, name and fields are the door's words. */
const part = z.object({
  kind: z.string(),
  name: z.string(),
  createdAt: z.number(),
  modifiedAt: z.number(),
  fields: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  /** What the fields name, so that the sweep knows it without their words. */
  blobs: z.exactOptional(z.array(z.string())),
})

const version = z.object({ parts: z.array(part) })

const stamps = { createdAt: z.number(), modifiedAt: z.number() }
const table = z.discriminatedUnion('kind', [
  z.object({
    id: z.string(),
    kind: z.literal('texts'),
    held: text,
    entries: z.array(z.object({ key: z.string(), value: z.string(), ...stamps })),
  }),
  z.object({
    id: z.string(),
    kind: z.literal('networks'),
    held: text,
    entries: z.array(
      z.object({
        id: z.string(),
        address: z.string(),
        prefix: count,
        negated: z.boolean(),
        comment: z.string(),
        ...stamps,
      }),
    ),
  }),
])

export type ServiceDesign = z.infer<typeof design>
export type ServiceVersionHead = z.infer<typeof head>
export type ServiceRecord = z.infer<typeof service>
export type ServicePart = z.infer<typeof part>
export type ServiceVersion = z.infer<typeof version>
export type TableRecord = z.infer<typeof table>
export type TextTable = Extract<TableRecord, { kind: 'texts' }>
export type NetworkTable = Extract<TableRecord, { kind: 'networks' }>

const kinds = { service, version, table }

export function decodeService<Kind extends keyof typeof kinds>(
  kind: Kind,
  bytes: Uint8Array,
): z.infer<(typeof kinds)[Kind]> {
  return parseService(kind, JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
}

/** Throws an Error that says what does not fit; a service whose rules do not compile does not fit. */
export function parseService<Kind extends keyof typeof kinds>(
  kind: Kind,
  value: unknown,
): z.infer<(typeof kinds)[Kind]> {
  const read = kinds[kind].safeParse(value)
  if (!read.success) throw new Error(z.prettifyError(read.error).replaceAll('\n', ' '))
  const data = read.data as z.infer<(typeof kinds)[Kind]>
  if ('live' in data && data.live !== undefined) compileRules(data.live.rules)
  return data
}

export function encodeService(record: ServiceRecord | ServiceVersion | TableRecord): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(record))
}
