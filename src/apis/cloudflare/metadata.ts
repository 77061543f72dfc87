/**
 * The `metadata` part of an upload: read strictly. A field that we act on is read, one that is harmless at its default is
 * accepted at its default, a hint without effect here is accepted with a message, everything else is refused by name.
 */
import { z } from 'zod'
import type { MigrationStep, Migrations } from '#/control/object-classes.ts'
import type { DeclaredObjects } from '#/control/records.ts'
import type { FrontCache } from '#/core/front-cache.ts'
import type { Binding } from '#/core/snapshot.ts'
import type { EpochMs } from '#/core/units.ts'
import { doorError } from './errors.ts'
import { firstIssue, keptKinds, workflowName } from './wire-bindings.ts'
import { workflowSettings } from './workflow-wish.ts'

const names = z.array(z.string().min(1)).optional()
const nothing = z.union([z.null(), z.array(z.never()).length(0)])

/** Programs whose `tail()` is told what this one does. */
export const tailConsumers = z
  .union([
    z.null(),
    z.array(z.strictObject({ service: z.string().min(1), environment: z.literal('production').optional() })),
  ])
  .transform((given) => given?.map(({ service }) => service) ?? [])

const step = z.strictObject({
  new_classes: names,
  new_sqlite_classes: names,
  deleted_classes: names,
  renamed_classes: z.array(z.strictObject({ from: z.string().min(1), to: z.string().min(1) })).optional(),
  transferred_classes: z
    .array(z.strictObject({ from: z.string().min(1), from_script: z.string().min(1), to: z.string().min(1) }))
    .optional(),
})

const schema = z.strictObject({
  main_module: z.string().min(1).optional(),
  body_part: z.string().min(1).optional(),
  bindings: z.array(z.unknown()).default([]),
  compatibility_date: z.string().optional(),
  compatibility_flags: z
    .array(z.string().regex(/^[a-z0-9_-]{1,100}$/))
    .max(200)
    .default([]),
  migrations: z
    .union([
      z.strictObject({ old_tag: z.string().optional(), new_tag: z.string().optional(), steps: z.array(step) }),
      step.extend({ old_tag: z.string().optional(), new_tag: z.string().optional() }),
    ])
    .nullish(),
  exports: z.record(z.string(), z.record(z.string(), z.unknown())).nullish(),
  keep_bindings: z.array(z.string()).default([]),
  keep_assets: z.boolean().default(false),
  /** Read by whoever keeps the files: `{jwt, config}`. */
  assets: z.record(z.string(), z.unknown()).nullish(),
  limits: z.strictObject({ cpu_ms: z.number().int().min(1).max(300_000).nullish() }).nullish(),
  annotations: z
    .strictObject({
      'workers/message': z.string().max(1000).optional(),
      'workers/tag': z.string().max(100).optional(),
      'workers/triggered_by': z.string().max(100).optional(),
    })
    .default({}),
  tags: z.array(z.string().max(200)).max(100).nullish(),
  observability: z.record(z.string(), z.unknown()).nullish(),
  usage_model: z.enum(['standard', 'bundled', 'unbound']).nullish(),
  cache_options: z.strictObject({ enabled: z.boolean(), cross_version_cache: z.boolean().optional() }).nullish(),
  // Harmless at their defaults.
  logpush: z.union([z.literal(false), z.null()]).optional(),
  tail_consumers: tailConsumers.optional(),
  streaming_tail_consumers: nothing.optional(),
  containers: nothing.optional(),
  // Hints.
  placement: z.strictObject({ mode: z.enum(['smart', 'off']).optional(), hint: z.string().optional() }).nullish(),
  code_update_strategy: z.record(z.string(), z.unknown()).nullish(),
  package_dependencies: z.array(z.unknown()).nullish(),
})

/** Why a field that Cloudflare knows is refused, and what to do. */
const advice: Record<string, string> = {
  logpush: "logs are not pushed from here; collect the node's log, and remove logpush or set it to false",
  tail_consumers: 'each entry is { "service": NAME }',
  streaming_tail_consumers: 'traces are not streamed while a program runs; use tail_consumers, told at its end',
  containers: 'containers do not run here; remove them',
  cache_options: 'only cache.enabled and cache.cross_version_cache are supported',
  placement: 'a program runs where its request arrives; remove placement, or set its mode to "off"',
  limits: 'only limits.cpu_ms (1 to 300000) is supported; remove the other limits',
  annotations: 'only the annotations workers/message and workers/tag are supported; preview aliases are not',
  capnp_schema: 'remove it',
}

export interface Metadata {
  readonly main: { readonly syntax: 'modules' | 'script'; readonly part: string } | undefined
  /** Still as written; read them once the parts are known. */
  readonly bindings: readonly unknown[]
  readonly compatibilityDate: string
  readonly compatibilityFlags: readonly string[]
  readonly migrations: Migrations | undefined
  readonly declaredObjects: DeclaredObjects | undefined
  /** Their classes. */
  readonly declaredWorkflows: readonly string[]
  readonly keep: readonly Binding['kind'][]
  readonly keepAssets: boolean
  /** As written. */
  readonly assets: Readonly<Record<string, unknown>> | undefined
  readonly cpuMs: number | undefined
  readonly frontCache: FrontCache | undefined
  readonly message: string | undefined
  readonly tag: string | undefined
  readonly tags: readonly string[] | undefined
  readonly observability: string | undefined
  readonly tailConsumers: readonly string[] | undefined
  /** Hints that have no effect here. */
  readonly notes: readonly string[]
}

/** Throws a `VendorError` that names the field. */
export function readMetadata(text: string, now: EpochMs): Metadata {
  const read = schema.safeParse(parseJson(text))
  if (!read.success) throw describe(read.error)
  const raw = read.data
  if (raw.main_module !== undefined && raw.body_part !== undefined)
    throw doorError('badMetadata', 'metadata has both main_module and body_part: an upload has one of them.')
  return {
    main: mainPart(raw),
    bindings: raw.bindings,
    compatibilityDate: checkDate(raw.compatibility_date ?? '2021-11-02', now),
    compatibilityFlags: raw.compatibility_flags,
    migrations: readMigrations(raw.migrations),
    declaredObjects: readExports(raw.exports ?? {}),
    declaredWorkflows: Object.entries(raw.exports ?? {}).flatMap(([name, { type }]) =>
      type === 'workflow' ? [name] : [],
    ),
    keep: keptBindings(raw.keep_bindings),
    keepAssets: raw.keep_assets,
    assets: raw.assets ?? undefined,
    cpuMs: raw.limits?.cpu_ms ?? undefined,
    frontCache: readFrontCache(raw),
    message: raw.annotations['workers/message'],
    tag: raw.annotations['workers/tag'],
    tags: raw.tags ?? undefined,
    observability: raw.observability == null ? undefined : JSON.stringify(raw.observability),
    tailConsumers: raw.tail_consumers,
    notes: notesOn(raw),
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw doorError('badMetadata', `The metadata part is not JSON: ${(error as Error).message}.`)
  }
}

/** All that is not supported, in one error; otherwise the first thing that does not fit. */
function describe(error: z.ZodError) {
  const unsupported = error.issues.flatMap((issue) => {
    const unknown = issue.code === 'unrecognized_keys' ? issue.keys : []
    const fields = issue.path.length > 0 ? [String(issue.path[0])] : unknown
    const known = fields.filter((field) => Object.hasOwn(advice, field))
    const rest = known.length > 0 && issue.path.length > 0 ? [] : unknown.filter((key) => !known.includes(key))
    return [
      ...known.map((field) => `metadata.${field} is not supported as given: ${advice[field]}.`),
      ...rest.map((key) => `metadata.${[...issue.path, key].join('.')} is not supported by Rimward.`),
    ]
  })
  if (unsupported.length > 0) return doorError('unsupported', [...new Set(unsupported)].join(' '))
  return doorError('badMetadata', `metadata.${firstIssue(error)}.`)
}

function mainPart(raw: z.infer<typeof schema>): Metadata['main'] {
  if (raw.main_module !== undefined) return { syntax: 'modules', part: raw.main_module }
  if (raw.body_part !== undefined) return { syntax: 'script', part: raw.body_part }
  return undefined
}

/** A real day in the form YYYY-MM-DD that is not in the future (a day of grace for time zones). */
function checkDate(date: string, now: EpochMs): string {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(date) ? Date.parse(`${date}T00:00:00Z`) : Number.NaN
  if (Number.isNaN(time) || new Date(time).toISOString().slice(0, 10) !== date)
    throw doorError('invalidUpload', `Invalid compatibility date '${date.slice(0, 40)}': write YYYY-MM-DD.`)
  if (time > now + 86_400_000)
    throw doorError('invalidUpload', `Can't set compatibility date in the future: '${date}'.`)
  return date
}

function readMigrations(raw: z.infer<typeof schema>['migrations']): Migrations | undefined {
  if (raw == null) return undefined
  const steps = 'steps' in raw && raw.steps !== undefined ? raw.steps : [raw as z.infer<typeof step>]
  return {
    steps: steps.map(toStep),
    ...(raw.old_tag !== undefined && raw.old_tag !== '' && { oldTag: raw.old_tag }),
    ...(raw.new_tag !== undefined && raw.new_tag !== '' && { newTag: raw.new_tag }),
  }
}

function toStep(raw: z.infer<typeof step>): MigrationStep {
  return {
    newClasses: raw.new_classes ?? [],
    newSqliteClasses: raw.new_sqlite_classes ?? [],
    renamedClasses: raw.renamed_classes ?? [],
    deletedClasses: raw.deleted_classes ?? [],
    transferredClasses: (raw.transferred_classes ?? []).map(({ from, from_script, to }) => ({
      from,
      program: from_script,
      to,
    })),
  }
}

const storage = z.enum(['sqlite', 'legacy-kv']).transform((kind) => (kind === 'sqlite' ? 'sqlite' : 'kv'))
const declaredObject = z.union([
  z.strictObject({ state: z.literal('created').default('created'), storage }),
  z.strictObject({ state: z.literal('deleted') }),
  z
    .strictObject({ state: z.literal('renamed'), renamed_to: z.string().min(1) })
    .transform(({ state, renamed_to }) => ({ state, to: renamed_to })),
])
const declaredWorker = z.strictObject({ cache: z.strictObject({ enabled: z.boolean() }).optional() })

const declaredWorkflow = z.strictObject({ name: z.string().regex(workflowName), ...workflowSettings })

/** `exports`: entries for Durable Object classes, for entrypoints without settings of their own, and for Workflows. */
function readExports(raw: Record<string, Record<string, unknown>>): DeclaredObjects | undefined {
  const declared: Record<string, DeclaredObjects[string]> = {}
  for (const [name, { type, ...entry }] of Object.entries(raw)) {
    const refuse = (why: string) => doorError('unsupported', `exports.${name} is not supported as given: ${why}.`)
    if (type === 'worker') {
      const worker = declaredWorker.safeParse(entry)
      if (!worker.success) throw refuse(firstIssue(worker.error))
      if (name !== 'default' && worker.data.cache?.enabled === true)
        throw refuse('the cache stands in front of the default export only; set enabled to false, or remove it')
      continue
    }
    if (type === 'workflow') {
      // wrangler makes the workflow itself, after the upload, from the same entry.
      const workflow = declaredWorkflow.safeParse(entry)
      if (!workflow.success) throw refuse(firstIssue(workflow.error))
      continue
    }
    if (type !== 'durable-object') throw refuse(`its type is '${String(type)}', not durable-object, worker or workflow`)
    if (entry.state === 'transferred' || entry.state === 'expecting-transfer')
      throw refuse('move a class with a transferred_classes migration')
    if ('container' in entry) throw refuse('containers do not run here')
    const read = declaredObject.safeParse(entry)
    if (!read.success)
      throw doorError('badMetadata', `metadata.exports.${name} does not fit: ${firstIssue(read.error)}.`)
    declared[name] = read.data
  }
  return Object.keys(declared).length === 0 ? undefined : declared
}

/** An entry for the default export has the last word. */
function readFrontCache({ cache_options: given, exports }: z.infer<typeof schema>): FrontCache | undefined {
  const own =
    exports?.default?.type === 'worker' ? declaredWorker.safeParse(withoutType(exports.default)).data : undefined
  const enabled = own?.cache?.enabled ?? given?.enabled ?? false
  return enabled ? { acrossVersions: given?.cross_version_cache ?? false } : undefined
}

function withoutType({ type: _, ...entry }: Record<string, unknown>): Record<string, unknown> {
  return entry
}

function keptBindings(types: readonly string[]): Binding['kind'][] {
  const kept = new Set<Binding['kind']>()
  for (const type of types) {
    // Kinds that no program here can have cannot be lost either.
    const kind = keptKinds[type]
    if (kind !== undefined) kept.add(kind as Binding['kind'])
  }
  return [...kept]
}

function notesOn(raw: z.infer<typeof schema>): string[] {
  const notes: string[] = []
  if (raw.placement?.mode === 'smart')
    notes.push('placement.mode "smart" has no effect: a program runs where its request arrives.')
  if (raw.cache_options?.enabled === true)
    notes.push(
      'The cache stands in front of the default export for requests from outside; service bindings go past it.',
    )
  if (raw.code_update_strategy != null)
    notes.push('code_update_strategy has no effect: Durable Objects move to new code at once.')
  if (raw.package_dependencies != null) notes.push('package_dependencies are not used.')
  if (raw.observability != null)
    notes.push("observability is kept as a setting; requests are logged as the node's configuration says.")
  return notes
}
