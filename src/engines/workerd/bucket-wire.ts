/** R2's requests and answers as the runtime writes and reads them (workerd: src/workerd/api/r2-api.capnp), in our nouns. */
import { z } from 'zod'
import {
  type BucketObject,
  type ByteRange,
  type DigestName,
  type Digests,
  digestNames,
  type EtagMatch,
  type ListPage,
  type ListWish,
  type ObjectFacts,
  type Preconditions,
  type RangeWish,
  storageClasses,
} from '#/core/buckets.ts'

/** 64-bit numbers are strings. */
const whole = z.coerce.number().int()
const etags = z.array(
  z.discriminatedUnion('type', [
    z.object({ type: z.literal('strong'), value: z.string() }),
    z.object({ type: z.literal('weak'), value: z.string() }),
    z.object({ type: z.literal('wildcard') }),
  ]),
)
const onlyIf = z.object({
  etagMatches: etags.optional(),
  etagDoesNotMatch: etags.optional(),
  uploadedBefore: whole.optional(),
  uploadedAfter: whole.optional(),
  secondsGranularity: z.boolean().optional(),
})
const ssec = z.object({ key: z.string() }).optional()
const facts = {
  object: z.string(),
  customFields: z.array(z.object({ k: z.string(), v: z.string() })).optional(),
  httpFields: z
    .object({
      contentType: z.string().optional(),
      contentLanguage: z.string().optional(),
      contentDisposition: z.string().optional(),
      contentEncoding: z.string().optional(),
      cacheControl: z.string().optional(),
      cacheExpiry: whole.optional(),
    })
    .optional(),
  storageClass: z.enum(storageClasses).optional(),
  ssec,
}
const upload = { object: z.string(), uploadId: z.string() }
/** Empty texts are left out by the runtime, which writes nothing that has its default value. */
const object = z.string().default('')

const requests = z.discriminatedUnion('method', [
  z.object({ method: z.literal('head'), object }),
  z.object({
    method: z.literal('get'),
    object,
    range: z.object({ offset: whole.optional(), length: whole.optional(), suffix: whole.optional() }).optional(),
    rangeHeader: z.string().optional(),
    onlyIf: onlyIf.optional(),
    ssec,
  }),
  z.object({
    method: z.literal('put'),
    ...facts,
    object,
    onlyIf: onlyIf.optional(),
    /** Base64; the others are hex. */
    md5: z.string().optional(),
    sha1: z.string().optional(),
    sha256: z.string().optional(),
    sha384: z.string().optional(),
    sha512: z.string().optional(),
  }),
  z.object({
    method: z.literal('list'),
    limit: z.number().optional(),
    prefix: z.string().optional(),
    cursor: z.string().optional(),
    delimiter: z.string().optional(),
    startAfter: z.string().optional(),
    include: z.array(z.union([z.literal(0), z.literal(1)])).optional(),
  }),
  z.object({ method: z.literal('createMultipartUpload'), ...facts, object }),
  z.object({
    method: z.literal('uploadPart'),
    ...upload,
    object,
    partNumber: z.number().int().min(1).max(10_000),
    ssec,
  }),
  z.object({
    method: z.literal('completeMultipartUpload'),
    ...upload,
    parts: z.array(z.object({ etag: z.string(), part: z.number() })),
  }),
  z.object({ method: z.literal('abortMultipartUpload'), ...upload }),
])
const removal = z.union([
  z.object({ method: z.literal('delete'), object: z.string() }),
  z.object({ method: z.literal('delete'), objects: z.array(z.string()) }),
])
const anyRequest = z.union([requests, removal])

export type BucketRequest = z.infer<typeof anyRequest>

/** A sentence instead where it cannot be read. */
export function readBucketRequest(text: string): BucketRequest | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'Metadata missing or invalid'
  }
  const isRemoval = (value as { method?: unknown } | null)?.method === 'delete'
  const read = isRemoval ? removal.safeParse(value) : requests.safeParse(value)
  if (read.success) return read.data
  const { path, message } = read.error.issues[0]!
  return `${path.join('.')}: ${message}`
}

export function toPreconditions(asked: z.infer<typeof onlyIf> | undefined): Preconditions | undefined {
  if (asked === undefined) return undefined
  const { etagMatches, etagDoesNotMatch, uploadedBefore, uploadedAfter, secondsGranularity } = asked
  return {
    ...(etagMatches && { matches: etagMatches.map(toMatch) }),
    ...(etagDoesNotMatch && { matchesNot: etagDoesNotMatch.map(toMatch) }),
    ...(uploadedBefore !== undefined && { before: uploadedBefore }),
    ...(uploadedAfter !== undefined && { after: uploadedAfter }),
    ...(secondsGranularity && { inSeconds: true }),
  }
}

function toMatch(one: z.infer<typeof etags>[number]): EtagMatch {
  return one.type === 'wildcard' ? { kind: 'any' } : { kind: one.type, etag: one.value }
}

export function toRangeWish({ range, rangeHeader }: Extract<BucketRequest, { method: 'get' }>): RangeWish | undefined {
  if (rangeHeader !== undefined) return { header: rangeHeader }
  if (range === undefined) return undefined
  const { offset, length, suffix } = range
  if (suffix !== undefined) return { suffix }
  return { ...(offset !== undefined && { offset }), ...(length !== undefined && { length }) }
}

export function toFacts(request: Extract<BucketRequest, { method: 'put' | 'createMultipartUpload' }>): ObjectFacts {
  const { object: key, customFields = [], httpFields = {}, storageClass } = request
  const { cacheExpiry, ...fields } = httpFields
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  return {
    key,
    http: { ...Object.fromEntries(given), ...(cacheExpiry !== undefined && { expiresAt: cacheExpiry }) },
    custom: Object.fromEntries(customFields.map(({ k, v }) => [k, v])),
    ...(storageClass && { storageClass }),
  }
}

export function toPutDigests(request: Extract<BucketRequest, { method: 'put' }>): Digests {
  const found: { [Name in DigestName]?: string } = {}
  for (const name of digestNames) {
    const text = request[name]
    if (text !== undefined)
      found[name] = name === 'md5' ? Buffer.from(text, 'base64').toString('hex') : text.toLowerCase()
  }
  return found
}

export function toListWish(request: Extract<BucketRequest, { method: 'list' }>): ListWish {
  const { method: _, include, ...wish } = request
  const given = Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined)) as ListWish
  return { ...given, ...(include && { include: include.map((field) => (field === 0 ? 'http' : 'custom')) }) }
}

export function writePage({ objects, prefixes, cursor }: ListPage): object {
  return {
    objects: objects.map((object) => writeObject(object)),
    truncated: cursor !== undefined,
    ...(cursor !== undefined && { cursor }),
    delimitedPrefixes: prefixes,
  }
}

export function writeObject(object: BucketObject, range?: ByteRange): object {
  const { expiresAt, ...fields } = object.http
  const custom = Object.entries(object.custom)
  const digests = digestNames.flatMap((name, index) =>
    object.digests[name] === undefined ? [] : [[index, object.digests[name]] as const],
  )
  return {
    name: object.key,
    version: object.version,
    size: object.bytes,
    etag: object.etag,
    uploaded: object.uploadedAt,
    // Where there are none the runtime shows what was asked for: an empty object, or nothing in a list.
    ...(Object.keys(object.http).length > 0 && {
      httpFields: { ...fields, ...(expiresAt !== undefined && { cacheExpiry: expiresAt }) },
    }),
    ...(custom.length > 0 && { customFields: custom.map(([k, v]) => ({ k, v })) }),
    ...(range && { range }),
    checksums: Object.fromEntries(digests),
    storageClass: object.storageClass,
  }
}
