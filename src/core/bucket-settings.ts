/**
 * What a bucket's owner asks of it besides keeping objects: how long they live, what may not be touched, who may read them in
 * a browser, where they are public, and who is told of changes. In Cloudflare's forms
 * (https://developers.cloudflare.com/api/resources/r2/subresources/buckets/); lies in the resource's settings.
 */
import { z } from 'zod'
import { storageClasses } from './buckets.ts'
import type { Resource } from './resources.ts'
import type { EpochMs } from './units.ts'

const most = 1000
const id = z.string().min(1).max(255)
const date = z.iso.datetime({ offset: true }).or(z.iso.date())
const seconds = z.number().min(0)
const condition = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('Age'), maxAge: seconds }),
  z.strictObject({ type: z.literal('Date'), date }),
])

export const lifecycleRules = z
  .array(
    z.strictObject({
      id,
      enabled: z.boolean(),
      conditions: z.strictObject({ prefix: z.exactOptional(z.string().max(1024)) }).default({}),
      deleteObjectsTransition: z.exactOptional(z.strictObject({ condition })),
      storageClassTransitions: z.exactOptional(
        z.array(z.strictObject({ condition, storageClass: z.literal('InfrequentAccess') })).max(10),
      ),
      abortMultipartUploadsTransition: z.exactOptional(z.strictObject({ condition })),
    }),
  )
  .max(most)

export const lockRules = z
  .array(
    z.strictObject({
      id,
      enabled: z.boolean(),
      prefix: z.exactOptional(z.string().max(1024)),
      condition: z.discriminatedUnion('type', [
        z.strictObject({ type: z.literal('Age'), maxAgeSeconds: seconds }),
        z.strictObject({ type: z.literal('Date'), date }),
        z.strictObject({ type: z.literal('Indefinite') }),
      ]),
    }),
  )
  .max(most)

export const corsMethods = ['GET', 'PUT', 'POST', 'DELETE', 'HEAD'] as const
const word = z.string().min(1).max(256)
export const corsRules = z
  .array(
    z.strictObject({
      id: z.exactOptional(id),
      allowed: z.strictObject({
        origins: z.array(word).min(1).max(100),
        methods: z.array(z.enum(corsMethods)).min(1),
        headers: z.exactOptional(z.array(word).max(100)),
      }),
      exposeHeaders: z.exactOptional(z.array(word).max(100)),
      maxAgeSeconds: z.exactOptional(z.int().min(0).max(86_400)),
    }),
  )
  .max(100)

export const noticeActions = [
  'PutObject',
  'CopyObject',
  'CompleteMultipartUpload',
  'DeleteObject',
  'LifecycleDeletion',
  'AbortMultipartUpload',
] as const
export const noticeRule = z.strictObject({
  ruleId: z.string(),
  createdAt: z.string(),
  prefix: z.exactOptional(z.string().max(1024)),
  suffix: z.exactOptional(z.string().max(1024)),
  description: z.exactOptional(z.string().max(255)),
  actions: z.array(z.enum(noticeActions)).min(1),
})

export const publicDomain = z.strictObject({
  domain: z.string().min(3).max(253),
  zoneId: z.exactOptional(z.string()),
  minTLS: z.exactOptional(z.enum(['1.0', '1.1', '1.2', '1.3'])),
  enabled: z.boolean(),
})

const settings = z.looseObject({
  storageClass: z.enum(storageClasses).default('Standard'),
  /** Absent: uploads that nobody finished are aborted after a week, as R2 does. */
  lifecycle: z.exactOptional(lifecycleRules),
  lock: lockRules.default([]),
  cors: z.exactOptional(corsRules.readonly()),
  /** Queues by id. */
  notices: z.array(z.strictObject({ queue: z.string(), rules: z.array(noticeRule).max(100) })).default([]),
  domains: z.array(publicDomain).max(50).default([]),
  /** At an address of the platform's own. */
  isPublic: z.boolean().default(false),
})

export type BucketSettings = Readonly<z.infer<typeof settings>>
export type LifecycleRule = z.infer<typeof lifecycleRules>[number]
export type LockRule = z.infer<typeof lockRules>[number]
export type CorsRule = z.infer<typeof corsRules>[number]
export type NoticeRule = z.infer<typeof noticeRule>
export type NoticeAction = (typeof noticeActions)[number]

const read = new WeakMap<object, BucketSettings>()

export function bucketSettingsOf({ settings: given }: Pick<Resource, 'settings'>): BucketSettings {
  const known = read.get(given)
  if (known !== undefined) return known
  const parsed = settings.parse(given)
  read.set(given, parsed)
  return parsed
}

/** What is undefined in the change is taken away. */
export function changedSettings(
  { settings: given }: Pick<Resource, 'settings'>,
  change: { readonly [Name in keyof BucketSettings]?: BucketSettings[Name] | undefined },
): Resource['settings'] {
  const all = Object.entries({ ...given, ...change }).filter(([, value]) => value !== undefined)
  return Object.fromEntries(all) as Resource['settings']
}

/** May an object not be overwritten or deleted now? By the first rule that says so. */
export function isLocked(key: string, uploadedAt: EpochMs, rules: readonly LockRule[], now: EpochMs): boolean {
  return rules.some(({ enabled, prefix = '', condition }) => {
    if (!enabled || !key.startsWith(prefix)) return false
    if (condition.type === 'Indefinite') return true
    return now < (condition.type === 'Age' ? uploadedAt + condition.maxAgeSeconds * 1000 : Date.parse(condition.date))
  })
}

/** What was made no later than this has reached the condition; undefined: nothing has yet. */
export function reachedBefore(
  condition: { readonly type: 'Age'; readonly maxAge: number } | { readonly type: 'Date'; readonly date: string },
  now: EpochMs,
): EpochMs | undefined {
  if (condition.type === 'Age') return now - condition.maxAge * 1000
  return now >= Date.parse(condition.date) ? now : undefined
}

export interface CorsAnswer {
  readonly origin: string
  readonly rule: CorsRule
}

/** The first rule that allows this origin and method (and, where a browser asks beforehand, these fields). */
export function allowedBy(
  rules: readonly CorsRule[],
  asked: { readonly origin: string; readonly method: string; readonly headers?: readonly string[] },
): CorsAnswer | undefined {
  for (const rule of rules) {
    const { origins, methods, headers = [] } = rule.allowed
    if (!(methods as readonly string[]).includes(asked.method)) continue
    const found = origins.find((one) => matches(one, asked.origin))
    if (found === undefined) continue
    const lower = headers.map((one) => one.toLowerCase())
    if (!(asked.headers ?? []).every((name) => lower.some((one) => matches(one, name.toLowerCase())))) continue
    return { origin: found === '*' ? '*' : asked.origin, rule }
  }
  return undefined
}

/** With one `*` that stands for anything. */
function matches(pattern: string, text: string): boolean {
  const [head, ...rest] = pattern.split('*')
  if (rest.length === 0) return pattern === text
  const tail = rest.join('*')
  return text.length >= head!.length + tail.length && text.startsWith(head!) && text.endsWith(tail)
}

/** Fields of the answer to a browser of another origin; none where no rule allows it. */
export function corsHeaders(
  rules: readonly CorsRule[],
  asked: { readonly origin: string | undefined; readonly method: string },
): Record<string, string> {
  if (rules.length === 0) return {}
  const found = asked.origin === undefined ? undefined : allowedBy(rules, { ...asked, origin: asked.origin })
  if (found === undefined) return { vary: 'Origin' }
  const { exposeHeaders = [] } = found.rule
  return {
    'access-control-allow-origin': found.origin,
    ...(exposeHeaders.length > 0 && { 'access-control-expose-headers': exposeHeaders.join(', ') }),
    vary: 'Origin',
  }
}

/** Fields of the answer to a preflight; undefined: it is refused. */
export function preflightHeaders(
  rules: readonly CorsRule[],
  asked: {
    readonly origin: string | undefined
    readonly method: string | undefined
    readonly headers?: string | undefined
  },
): Record<string, string> | undefined {
  const { origin, method } = asked
  if (origin === undefined || method === undefined) return undefined
  const headers = (asked.headers ?? '').split(',').flatMap((one) => one.trim() || [])
  const found = allowedBy(rules, { origin, method, headers })
  if (found === undefined) return undefined
  const { allowed, maxAgeSeconds } = found.rule
  return {
    'access-control-allow-origin': found.origin,
    'access-control-allow-methods': allowed.methods.join(', '),
    ...(headers.length > 0 && { 'access-control-allow-headers': headers.join(', ') }),
    ...(maxAgeSeconds !== undefined && { 'access-control-max-age': String(maxAgeSeconds) }),
    vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
  }
}

/** What a queue is told of one change; `account` and `bucket` are added where it is sent. */
export interface BucketNotice {
  readonly action: NoticeAction
  readonly object: { readonly key: string; readonly size?: number; readonly eTag?: string }
  readonly eventTime: string
  readonly copySource?: { readonly bucket: string; readonly object: string }
}

export function isWatched(rule: NoticeRule, action: NoticeAction, key: string): boolean {
  const { prefix = '', suffix = '', actions } = rule
  return actions.includes(action) && key.startsWith(prefix) && key.endsWith(suffix)
}

/** Name of the site of a bucket's public address; the second is that of its own domains. */
export const publicSite = (bucket: string): string => `pub-${bucket.replaceAll('-', '')}`
export const domainsSite = (bucket: string): string => `r2-${bucket.replaceAll('-', '')}`

/** Origins of these sites: nobody listens there, `withPublicBuckets` answers. */
export const bucketOrigin = (bucket: string): string => `http://${bucket}.bucket.invalid`

export function bucketOfOrigin(host: string): string | undefined {
  return /^([0-9a-f-]{36})\.bucket\.invalid$/.exec(host)?.[1]
}

/** As R2 has it for buckets without rules; in milliseconds. */
export const usualLifecycle = (uploadMs: number): readonly LifecycleRule[] => [
  {
    id: 'Default Multipart Abort Rule',
    enabled: true,
    conditions: { prefix: '' },
    abortMultipartUploadsTransition: { condition: { type: 'Age', maxAge: uploadMs / 1000 } },
  },
]

/** Of a bucket whose owner asked for nothing. */
export const usualBucketSettings: BucketSettings = bucketSettingsOf({ settings: {} })
