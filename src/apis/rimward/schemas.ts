/** What our own API takes and gives, as zod schemas: validation, types and `openapi.json` come from these. */
import { z } from 'zod'
import { answerPolicySchema } from '#/control/answer-policy.ts'
import { cachePolicySchema } from '#/control/cache-policy.ts'
import { canarySetting } from '#/control/canary.ts'
import { placedKinds } from '#/control/placements.ts'
import { errorPagesChange, errorPagesForm, originsForm, originUrl, originWish, poolForm } from '#/control/site-form.ts'

const siteName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be a DNS label: lower-case letters, digits and "-", at most 63')
  .describe('Unique on the platform; the site answers at NAME.localhost.')

const hostName = z
  .string()
  .regex(
    /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
    'must be a host name in lower case, without port; "*." may come first',
  )
  .max(253)

const hosts = z.array(hostName).max(100)

const popName = z.string().min(1).max(80)

/** Refused with a sentence when there is no origin, or two ways to say it. */
export const newSite = z
  .strictObject({
    name: siteName,
    origin: z.exactOptional(originUrl.describe('Where requests go: http(s)://HOST[:PORT][/PATH].')),
    origins: z.exactOptional(originsForm.describe('Several origins, or one with settings; instead of `origin`.')),
    ...poolForm,
    hosts: hosts.default([]).describe('Host names at which the site answers, besides NAME.localhost.'),
    cache: z.exactOptional(cachePolicySchema),
    errorPages: z.exactOptional(errorPagesForm.describe('Pages by status ("503") or class ("5xx").')),
    answers: z.exactOptional(answerPolicySchema),
    shield: z.exactOptional(popName.describe('The point of presence through which all others fetch from the origins.')),
  })
  .refine((site) => (site.origin === undefined) !== (site.origins === undefined), {
    path: ['origin'],
    error: 'give either "origin" or "origins"',
  })
  .transform((site) => ({ ...site, origin: site.origin ?? site.origins![0]!.url }))
export type NewSite = z.infer<typeof newSite>

/** What is absent stays as it is; null takes away. */
export const siteChange = z
  .strictObject({
    origin: z.exactOptional(originUrl),
    origins: z.exactOptional(originsForm),
    choice: poolForm.choice,
    quorum: z.exactOptional(poolForm.quorum.nullable()),
    healthCheck: z.exactOptional(poolForm.healthCheck.nullable()),
    hosts: z.exactOptional(hosts),
    cache: z.exactOptional(cachePolicySchema.nullable()),
    errorPages: z.exactOptional(errorPagesChange.nullable().describe('What is absent stays, null takes away.')),
    answers: z.exactOptional(answerPolicySchema.nullable()),
    shield: z.exactOptional(popName.nullable()),
  })
  .refine((site) => site.origin === undefined || site.origins === undefined, {
    path: ['origin'],
    error: 'give either "origin" or "origins"',
  })
  .transform(({ origin, ...rest }) =>
    origin === undefined ? rest : { ...rest, origins: [originWish.parse({ url: origin })] },
  )
export type SiteChangeBody = z.infer<typeof siteChange>

/** An origin as it is shown: with `clientKey: true` in place of the key. */
const originView = z.looseObject({ name: z.string(), url: z.string(), weight: z.number() })

export const originStateView = z.object({
  name: z.string(),
  url: z.string(),
  healthy: z.boolean(),
  check: z
    .object({
      successes: z.number(),
      window: z.number(),
      threshold: z.number(),
      since: z.iso.datetime(),
      last: z.object({ at: z.iso.datetime(), ok: z.boolean(), why: z.string() }).optional(),
    })
    .optional()
    .describe('Absent where no health check is configured.'),
  requests: z.number(),
  failures: z.number(),
  retries: z.number().describe('Requests that came here after another origin had failed.'),
})

export const siteView = z.object({
  name: z.string(),
  hostnames: z.array(z.string()),
  routes: z.array(z.string()),
  target: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('program'), program: z.string() }),
    z.object({
      kind: z.literal('origin'),
      url: z.string(),
      origins: z.array(originView).optional(),
      choice: z.string().optional(),
      quorum: z.number().optional(),
      healthCheck: z.looseObject({}).optional(),
    }),
    z.object({ kind: z.literal('redirect'), location: z.string(), status: z.number() }),
  ]),
  cache: z.exactOptional(cachePolicySchema),
  errorPages: z.array(z.string()).optional().describe('Statuses and classes that have a page of their own.'),
  answers: z.exactOptional(answerPolicySchema),
  shield: z.exactOptional(popName),
})
export type SiteView = z.infer<typeof siteView>

export const programView = z.object({
  name: z.string(),
  versions: z
    .array(z.object({ id: z.string(), number: z.number(), percent: z.number(), createdAt: z.iso.datetime() }))
    .describe('Versions that serve; empty while nothing was deployed.'),
  bindings: z.array(z.object({ name: z.string(), kind: z.string() })),
  objects: z.array(z.string()).describe('Classes of Durable Objects.'),
  hosts: z.array(z.string()).describe('Host names and routes at which the program answers.'),
})
export type ProgramView = z.infer<typeof programView>

export const checkView = z.object({
  name: z.string(),
  ready: z.boolean(),
  reason: z.string().optional(),
  node: z.string().optional(),
  revision: z.number().optional().describe('Of the configuration that the node serves.'),
  ageMs: z.number().optional().describe('How long what it serves may have been out of date.'),
  awaySince: z.iso.datetime().optional(),
})
export type Check = z.infer<typeof checkView>

export const addressesView = z.object({ http: z.string(), https: z.string().optional(), api: z.string() })
export type Addresses = z.infer<typeof addressesView>

export const statusView = z.object({
  version: z.string(),
  pop: z.string(),
  accountId: z.string(),
  startedAt: z.iso.datetime(),
  addresses: addressesView,
  programs: z.number(),
  sites: z.number(),
  ready: z.boolean(),
  checks: z.array(checkView),
})
export type Status = z.infer<typeof statusView>

const time = z.iso.datetime()
export const popView = z.object({
  node: z.string().describe('Unique on the platform.'),
  pop: z.string(),
  country: z.string().describe('ISO 3166-1 alpha-2; XX where nobody said.'),
  http: z.string().optional(),
  https: z.string().optional(),
  version: z.string(),
  startedAt: time,
  heardAt: time.describe('Its last word; a node that lives speaks each second.'),
  state: z.enum(['up', 'behind', 'away', 'silent']).describe('`away`: it cannot reach what the nodes share.'),
  revision: z.number().describe('Of the configuration that it serves.'),
  lag: z.number().describe('Revisions that it lacks.'),
  lagMs: z.number().describe('For so long it has lacked them; 0 where it lacks none.'),
  ageMs: z.number().describe('How long what it serves may have been out of date.'),
  awaySince: time.optional(),
  failure: z.string().optional().describe('Why it could not adopt the newest revision.'),
  requests: z.number().describe('Answers since it started.'),
  errors: z.number().describe('Those of them with a status of 500 and more.'),
  requestsPerSecond: z.number(),
})
export type PopView = z.infer<typeof popView>

export const copiesView = z.object({
  stream: z.string().describe('Of NATS.'),
  copies: z.number().describe('Copies that it is to have.'),
  current: z.number().describe('Copies that have all that was acknowledged.'),
  behind: z.array(z.string()).readonly().describe('Servers whose copy is not current, or that are gone.'),
})
export type CopiesView = z.infer<typeof copiesView>

export const inviteBody = z.strictObject({
  pop: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,30}$/, 'a name such as fra')
    .optional()
    .describe('The only point of presence that the newcomer may belong to.'),
  country: z
    .string()
    .regex(/^[A-Z]{2}$/, 'two capital letters, such as DE')
    .optional()
    .describe('ISO 3166-1 alpha-2: the only country.'),
  lifeSeconds: z
    .int()
    .min(1)
    .max(7 * 86_400)
    .optional()
    .describe('An hour unless it is said.'),
})
export const invitation = z.object({ token: z.string().describe('Shown once; works once.'), expiresAt: time })

export const rolloutBody = z.strictObject({ canary: canarySetting.nullable() })

export const logLine = z
  .object({
    scriptName: z.string(),
    outcome: z.string(),
    eventTimestamp: z.number().nullable(),
    event: z.unknown(),
    logs: z.array(z.object({ message: z.unknown(), level: z.string(), timestamp: z.number() })),
    exceptions: z.array(
      z.object({ name: z.string(), message: z.string(), stack: z.string().optional(), timestamp: z.number() }),
    ),
  })
  .describe('One invocation; `{"dropped": N}` stands for N that a slow reader missed.')

export const problemView = z.object({ error: z.object({ code: z.string(), message: z.string() }) })

const texts = z.array(z.string().min(1).max(16_384)).max(256).default([])
export const purgeBody = z.strictObject({
  site: z.string().optional().describe('Only what this site or program has stored; absent: the whole platform.'),
  urls: texts,
  tags: texts.describe('From Surrogate-Key or Cache-Tag.'),
  prefixes: texts.describe('HOST/PATH'),
  hosts: texts,
  everything: z.boolean().default(false),
  soft: z.boolean().default(false).describe('Marks as stale instead of removing.'),
})

const nodeOf = { pop: z.string(), node: z.string() }
export const purgeReceipt = z.object({
  id: z.string(),
  at: z.number().describe('Milliseconds since 1970.'),
  acknowledged: z
    .array(z.object({ ...nodeOf, ms: z.number() }))
    .describe('Nothing fetched before answers there any more, so many milliseconds after the purge came.'),
  away: z
    .array(z.object({ ...nodeOf, since: z.number() }))
    .describe('Out of reach; they apply it before they say that they are ready again.'),
})

// What the routers of egress rules and certificates take and give; they check it themselves.
export const egressRule = z.object({
  program: z.string().describe('Name of a program, or `*`.'),
  destination: z.string().describe('Address, network (CIDR) or host name; address and host also with a port.'),
})
export const residencyWish = z.strictObject({
  name: z.string().min(1).max(300).describe('Name or id; `KIND:NAME` where several have the name.'),
  within: z.string().min(1).max(2000).describe('`DE,FR`, a group such as `eu`, or `anywhere`.'),
})
export const residencyView = z.object({
  kind: z.enum(placedKinds),
  id: z.string(),
  name: z.string(),
  within: z.array(z.string()).nullable().describe('ISO 3166-1 codes; null: anywhere.'),
  countries: z.string().describe('The same in words, groups by their names.'),
  exists: z.boolean(),
})
export const auditView = z.object({
  holdings: z.array(
    z.object({
      node: z.string(),
      countries: z.array(z.string()),
      kind: z.enum(['site', 'program', 'store', 'objects', 'certificate']),
      id: z.string(),
      place: z.string(),
      count: z.number(),
      bytes: z.number(),
      within: z.array(z.string()).optional(),
      allowed: z.boolean(),
    }),
  ),
  nodes: z.array(z.object({ node: z.string(), pop: z.string(), countries: z.array(z.string()) })),
  streams: z
    .array(
      z.object({
        stream: z.string(),
        within: z.array(z.string()).optional(),
        tags: z.array(z.string()),
        servers: z.array(z.object({ name: z.string() })),
        bytes: z.number(),
        buckets: z.array(z.object({ name: z.string(), records: z.number(), bytes: z.number() })),
      }),
    )
    .optional()
    .describe('Of NATS, where nodes share it.'),
  unread: z.array(z.string()),
  clean: z.boolean(),
})
export const newCertificate = z.object({
  chain: z.string().describe('PEM, leaf first.'),
  key: z.string().describe('PEM, not encrypted.'),
})
export const certificateView = z.object({
  id: z.string(),
  names: z.array(z.string()),
  issuer: z.string(),
  source: z.enum(['upload', 'acme']),
  fingerprint: z.string().describe('SHA-256 of the leaf, hex.'),
  notBefore: z.iso.datetime(),
  notAfter: z.iso.datetime(),
  storedAt: z.iso.datetime(),
})
export const acmeSettings = z.object({
  directoryUrl: z.string(),
  email: z.string(),
  hostnames: z.array(z.string()).describe('One certificate each.'),
  termsAgreed: z.boolean(),
  externalAccount: z.object({ keyId: z.string(), hmacKey: z.string() }).optional(),
})
