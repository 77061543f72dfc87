/**
 * What the control plane keeps in the fabric, as JSON: one record a program, one a version, one a site. Each is checked
 * when it is read, because a record may come from another release or from a damaged disk.
 */
import { z } from 'zod'
import type { OriginPool } from '#/core/origin.ts'
import type { Binding, Deployment, ObjectNamespace, ProgramCode } from '#/core/snapshot.ts'
import { answerPolicySchema } from './answer-policy.ts'
import { cachePolicySchema } from './cache-policy.ts'
import { errorPagesForm, poolRecord } from './site-form.ts'

const optionalText = z.exactOptional(z.string())

const code = z.object({
  syntax: z.enum(['modules', 'script']),
  mainModule: z.string(),
  modules: z.array(
    z.object({
      name: z.string(),
      kind: z.enum(['esm', 'cjs', 'text', 'data', 'json', 'wasm']),
      blob: z.string(),
      bytes: z.number(),
    }),
  ),
  compatibilityDate: z.string(),
  compatibilityFlags: z.array(z.string()),
}) satisfies z.ZodType<ProgramCode>

const name = z.string()
const binding = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('text'), name, text: z.string() }),
  z.object({ kind: z.literal('json'), name, json: z.string() }),
  z.object({ kind: z.literal('secret'), name, sealed: z.string() }),
  z.object({ kind: z.literal('kv'), name, store: z.string() }),
  z.object({
    kind: z.literal('queue'),
    name,
    queue: z.string(),
    called: z.string(),
    delayS: z.exactOptional(z.number()),
  }),
  z.object({ kind: z.literal('bucket'), name, bucket: z.string(), called: z.string() }),
  z.object({ kind: z.literal('program'), name, program: z.string(), entrypoint: optionalText, props: optionalText }),
  z.object({ kind: z.literal('objects'), name, className: z.string(), program: optionalText }),
  z.object({ kind: z.literal('assets'), name }),
  z.object({ kind: z.literal('version'), name }),
  z.object({
    kind: z.literal('rate-limit'),
    name,
    namespace: z.string(),
    limit: z.number(),
    periodS: z.union([z.literal(10), z.literal(60)]),
  }),
  z.object({ kind: z.literal('sql'), name, database: z.string() }),
  z.object({ kind: z.literal('dataset'), name, dataset: z.string(), called: z.string() }),
  z.object({
    kind: z.literal('workflow'),
    name,
    workflow: z.string(),
    className: z.string(),
    program: z.exactOptional(z.string()),
  }),
  z.object({ kind: z.literal('stored-secret'), name, store: z.string(), secret: z.string() }),
  z.object({ kind: z.literal('server'), name, server: z.string() }),
  z.object({ kind: z.literal('certificate'), name, certificate: z.string() }),
  z.object({ kind: z.literal('loader'), name }),
  z.object({
    kind: z.literal('dispatch'),
    name,
    namespace: z.string(),
    called: z.string(),
    outbound: z.exactOptional(z.object({ program: z.string(), parameters: z.array(z.string()).readonly() })),
  }),
  z.object({ kind: z.literal('blob'), name, type: z.enum(['wasm', 'data', 'text']), blob: z.string() }),
  z.object({ kind: z.literal('held'), name, as: z.enum(['text', 'json', 'secret']), blob: z.string() }),
]) satisfies z.ZodType<Binding>

/** Loose: fields that a later release adds survive. */
const assets = z.looseObject({
  manifest: z.string(),
  files: z.number(),
  htmlHandling: z.enum(['auto-trailing-slash', 'force-trailing-slash', 'drop-trailing-slash', 'none']),
  notFoundHandling: z.enum(['single-page-application', '404-page', 'none']),
  runProgramFirst: z.union([z.boolean(), z.array(z.string())]),
  basePath: optionalText,
  navigationPrefersFiles: z.exactOptional(z.boolean()),
  headersFile: optionalText,
  redirectsFile: optionalText,
  ruleFiles: optionalText,
}) satisfies z.ZodType<NonNullable<Deployment['assets']>>

/** One class in the declarative form: what is to be true after the deploy, whatever was before. */
const declaredObject = z.discriminatedUnion('state', [
  z.object({ state: z.literal('created'), storage: z.enum(['sqlite', 'kv']) }),
  z.object({ state: z.literal('deleted') }),
  z.object({ state: z.literal('renamed'), to: z.string() }),
])

const object = z.object({
  className: z.string(),
  key: z.string(),
  storage: z.enum(['sqlite', 'kv']),
}) satisfies z.ZodType<ObjectNamespace>

const version = z.object({
  id: z.string(),
  program: z.string(),
  number: z.number(),
  createdAt: z.number(),
  /** Which tool or action made it: `wrangler`, `secret`, `rimward`. */
  source: z.string(),
  message: optionalText,
  tag: optionalText,
  code: z.exactOptional(code),
  bindings: z.array(binding),
  assets: z.exactOptional(assets),
  limits: z.object({ cpuMs: z.exactOptional(z.number()) }),
  usesSockets: z.exactOptional(z.literal(true)),
  usesEmail: z.exactOptional(z.literal(true)),
  frontCache: z.exactOptional(z.object({ acrossVersions: z.boolean() })),
  declaredObjects: z.exactOptional(z.record(z.string(), declaredObject)),
  /** Names that the code exports, found by starting it. */
  exports: z.array(z.object({ name: z.string(), kind: z.string(), handlers: z.array(z.string()) })),
  startupMs: z.number(),
})

const rollout = z.object({
  id: z.string(),
  createdAt: z.number(),
  source: z.string(),
  message: optionalText,
  parts: z.array(z.object({ version: z.string(), percent: z.number() })),
})

const program = z.object({
  name: z.string(),
  /** Never changes and is never used again, unlike the name. */
  id: z.string(),
  createdAt: z.number(),
  modifiedAt: z.number(),
  nextNumber: z.number(),
  /** Ids, newest first. */
  versions: z.array(z.string()),
  /** Newest first; the first one serves. */
  rollouts: z.array(rollout),
  objects: z.array(object),
  migrationTag: optionalText,
  /** Answers at `NAME.localhost`. */
  local: z.boolean(),
  routes: z.array(z.string()),
  hostnames: z.array(z.string()),
  tags: z.array(z.string()),
  /** Serialized JSON, kept for the tools that ask for it again. */
  observability: optionalText,
  crons: z.exactOptional(z.array(z.object({ cron: z.string(), createdAt: z.number() }))),
  tailConsumers: z.exactOptional(z.array(z.string())),
  /** Of its site. */
  errorPages: z.exactOptional(errorPagesForm),
  answers: z.exactOptional(answerPolicySchema),
})

const site = z.object({
  name: z.string(),
  createdAt: z.number(),
  origin: z.string(),
  hosts: z.array(z.string()),
  pool: z.exactOptional(poolRecord),
  cache: z.exactOptional(cachePolicySchema),
  errorPages: z.exactOptional(errorPagesForm),
  answers: z.exactOptional(answerPolicySchema),
  shield: z.exactOptional(z.string()),
  /** The blob with the rest of it, where it stays in countries; see `placed-records.ts`. */
  held: optionalText,
})

export type VersionRecord = z.infer<typeof version>
export type RolloutRecord = z.infer<typeof rollout>
export type ProgramRecord = z.infer<typeof program>
export interface SiteRecord extends Omit<z.infer<typeof site>, 'pool' | 'hosts'> {
  readonly hosts: readonly string[]
  readonly pool?: OriginPool
}
export type DeclaredObjects = Readonly<Record<string, z.infer<typeof declaredObject>>>

const kinds = { version, program, site }

/** Reads a record; throws an Error whose message says what does not fit. */
export function parseRecord<Kind extends keyof typeof kinds>(
  kind: Kind,
  value: unknown,
): z.infer<(typeof kinds)[Kind]> {
  const read = kinds[kind].safeParse(value)
  if (!read.success) throw new Error(z.prettifyError(read.error).replaceAll('\n', ' '))
  return read.data as z.infer<(typeof kinds)[Kind]>
}

/** The part of a version that the data plane sees. */
export function toDeployment(record: VersionRecord): Deployment {
  const { id, program, number, createdAt, tag, code, bindings, assets, limits, startupMs } = record
  const { frontCache, usesSockets, usesEmail } = record
  return {
    id,
    program,
    number,
    createdAt,
    bindings,
    limits,
    startupMs,
    ...(tag !== undefined && { tag }),
    ...(code !== undefined && { code }),
    ...(assets !== undefined && { assets }),
    ...(frontCache !== undefined && { frontCache }),
    ...(usesSockets && { usesSockets }),
    ...(usesEmail && { usesEmail }),
  }
}
