/** The form of a site's origins and error pages: what our own door accepts, and what a record holds of it. */
import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { z } from 'zod'
import { defaultLimits } from '#/core/limits.ts'
import { originChoices, tlsVersions } from '#/core/origin.ts'

const limits = defaultLimits
const day = 86_400_000
const milliseconds = z.int().min(1).max(day)
const hostname = z
  .string()
  .max(255)
  .regex(
    /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?(:\d{1,5})?$|^\[[0-9a-fA-F:.]+\](:\d{1,5})?$/,
    'must be a host name',
  )
const serverName = hostname.regex(/^[^:]*$/, 'must be a host name without port')

/** Absolute http(s) URL; neither credentials, nor a query, nor a fragment. */
export const originUrl = z.string().superRefine((text, context) => {
  const refuse = (message: string): void => {
    context.addIssue({ code: 'custom', message })
  }
  if (!URL.canParse(text)) return refuse('must be an absolute URL')
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return refuse('must start with http:// or https://')
  if (url.username !== '' || url.password !== '') return refuse('must not carry a user name or password')
  if (url.hash !== '' || url.search !== '') return refuse('must not carry a query or a fragment')
})

const certificates = z
  .string()
  .max(limits.certificateBytes)
  .refine(isCertificate, 'must be one or more certificates in PEM')

function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).subject !== null
  } catch {
    return false
  }
}

const fieldName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}$/, 'must be the name of a header field')
const fieldValue = z.string().regex(/^[\t\x20-\x7e\x80-\xff]{0,2000}$/, 'must be the value of a header field')
/** What a check may not set: framing, and what has a field of its own. */
const reservedFields = ['host', 'content-length', 'transfer-encoding', 'connection', 'upgrade', 'expect', 'te']

/** Defaults are those of Fastly's frequency «low». */
export const healthCheck = z
  .strictObject({
    method: z.enum(['HEAD', 'GET', 'POST']).default('HEAD'),
    path: z
      .string()
      .regex(/^\/[\x21-\x7e]{0,1000}$/, 'must be a path that starts with "/"')
      .default('/'),
    host: z.exactOptional(hostname),
    expectedStatus: z.int().min(200).max(599).default(200),
    headers: z
      .record(fieldName, fieldValue)
      .default({})
      .transform((fields) =>
        Object.fromEntries(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value])),
      )
      .refine((fields) => Object.keys(fields).length <= 20, 'are at most 20')
      .refine(
        (fields) => !reservedFields.some((name) => name in fields),
        `cannot hold ${reservedFields.join(', ')}; the host has a setting of its own`,
      ),
    timeoutMs: z.int().min(1).max(600_000).default(5_000),
    intervalMs: z.int().min(1_000).max(day).default(60_000),
    threshold: z.int().min(1).max(100).default(1),
    window: z.int().min(1).max(100).default(2),
    initial: z.int().min(0).max(100).default(1),
  })
  .refine(({ threshold, window }) => threshold <= window, { path: ['threshold'], error: 'must not exceed the window' })
  .refine(({ initial, window }) => initial <= window, { path: ['initial'], error: 'must not exceed the window' })

const tls = {
  sniHostname: z.exactOptional(serverName),
  certificateHostname: z.exactOptional(serverName),
  checkCertificate: z.exactOptional(z.boolean()),
  caCertificate: z.exactOptional(certificates),
  clientCertificate: z.exactOptional(certificates),
  minTlsVersion: z.exactOptional(z.enum(tlsVersions)),
  maxTlsVersion: z.exactOptional(z.enum(tlsVersions)),
  ciphers: z.exactOptional(
    z.string().max(2000).refine(areCiphers, 'must be a list of cipher suites, as OpenSSL reads it'),
  ),
}

function areCiphers(ciphers: string): boolean {
  try {
    return createSecureContext({ ciphers }) !== undefined
  } catch {
    return false
  }
}

const connection = {
  connectTimeoutMs: z.exactOptional(milliseconds),
  firstByteTimeoutMs: z.exactOptional(milliseconds),
  betweenBytesTimeoutMs: z.exactOptional(milliseconds),
  maxConnections: z.exactOptional(z.int().min(1).max(limits.originRequests)),
  keepAliveMs: z.exactOptional(milliseconds),
  maxUse: z.exactOptional(z.int().min(0).max(1_000_000_000)),
  tcpKeepAlive: z.exactOptional(
    z.union([
      z.literal(false),
      z.strictObject({
        idleMs: z.int().min(1_000).max(day),
        intervalMs: z.int().min(1_000).max(day),
        probes: z.int().min(1).max(127),
      }),
    ]),
  ),
  http2Only: z.exactOptional(z.literal(true)),
  maxLifetimeMs: z.exactOptional(z.int().min(0).max(day)),
  ...tls,
}

const originName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9 ._:[\]-]{0,126}$/, 'must be letters, digits, spaces and "._:-[]", at most 127')

/** `clientKey` is PEM in a wish; a record has it sealed. */
const origin = z.strictObject({
  name: z.exactOptional(originName),
  url: originUrl,
  weight: z.int().min(1).max(10_000).default(100),
  overrideHost: z.exactOptional(hostname),
  ...connection,
  clientKey: z.exactOptional(z.string().max(limits.certificateBytes)),
  healthCheck: z.exactOptional(healthCheck),
  shield: z.exactOptional(z.never('is set for the whole site, not for one of its origins')),
})

/** An origin as people give it; a URL alone is one with nothing else said. */
export const originWish = z.preprocess((given) => (typeof given === 'string' ? { url: given } : given), origin)
export type OriginWish = z.infer<typeof origin>

const percent = z.int().min(1).max(100)

export const poolForm = {
  choice: z.exactOptional(z.enum(originChoices)),
  quorum: z.exactOptional(percent),
  healthCheck: z.exactOptional(healthCheck),
}

export const originsForm = z.array(originWish).min(1).max(limits.siteOrigins)

const statusOrClass = z.string().regex(/^([45]xx|[45]\d\d)$/, 'must be a status such as "503", or "4xx" or "5xx"')
const pageType = z
  .string()
  .max(200)
  .regex(/^[a-z]+\/[a-z0-9.+-]+(; ?charset=[A-Za-z0-9-]+)?$/, 'must be a media type')

const page = z.strictObject({
  type: pageType.default('text/html; charset=utf-8'),
  body: z
    .string()
    .refine(
      (body) => Buffer.byteLength(body) <= limits.errorPageBytes,
      `is larger than ${limits.errorPageBytes} bytes`,
    ),
})

const notTooMany = (pages: object): boolean => Object.keys(pages).length <= limits.errorPages
const atMost = `are at most ${limits.errorPages}`

export const errorPagesForm = z.record(statusOrClass, page).refine(notTooMany, atMost)

/** Single pages: null takes one away. */
export const errorPagesChange = z.record(statusOrClass, page.nullable()).refine(notTooMany, atMost)

/** A pool in a record: what was wished, named, with keys sealed. */
export const poolRecord = z.object({
  origins: z.array(origin.omit({ shield: true }).extend({ name: originName })),
  choice: z.enum(originChoices),
  quorum: z.exactOptional(percent),
  healthCheck: z.exactOptional(healthCheck),
  shield: z.exactOptional(z.string()),
})
