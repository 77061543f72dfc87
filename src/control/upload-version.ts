/** A new version of a program: validated, proven to start, recorded, and, where asked, serving. */
import { randomUUID } from 'node:crypto'
import type { FrontCache } from '#/core/front-cache.ts'
import type { AssetsDeployment, Binding, ObjectNamespace, ProgramCode, ProgramName } from '#/core/snapshot.ts'
import { type BindingRequest, checkWorkflowClasses, resolveBindings } from './bindings.ts'
import { checkTailConsumers } from './change-program.ts'
import type { Forgetting } from './forget-objects.ts'
import { applyMigrations, type Migrations, type ObjectChange, reconcileObjects } from './object-classes.ts'
import {
  checkBound,
  heldVersion,
  newProgram,
  newRollout,
  type Office,
  objectWorld,
  proveVersion,
  settle,
  withRollout,
  withVersion,
} from './office.ts'
import { placeVersion } from './place-versions.ts'
import { programWithin } from './placements.ts'
import { checkUploadName } from './program-name.ts'
import type { DeclaredObjects, ProgramRecord, VersionRecord } from './records.ts'
import { Refusal } from './refusal.ts'
import { isServiceSite } from './services/held-services.ts'

/** What a person asks for. Blobs of modules must be in the fabric already, and pinned. */
export interface Upload {
  /** Absent: the program is only assets. */
  readonly code?: ProgramCode
  readonly bindings: readonly BindingRequest[]
  readonly keep: readonly Binding['kind'][]
  readonly assets?: AssetsDeployment
  /** The assets of the latest version stay when there are no new ones. */
  readonly keepAssets: boolean
  readonly limits: { readonly cpuMs?: number }
  readonly frontCache?: FrontCache
  readonly migrations?: Migrations
  readonly declaredObjects?: DeclaredObjects
  /** Classes that `exports` declares as Workflows. */
  readonly declaredWorkflows?: readonly string[]
  /** Settings of the program; those absent stay as they are. Applied only by a deploy. */
  readonly tags?: readonly string[]
  readonly observability?: string
  readonly tailConsumers?: readonly ProgramName[]
  readonly message?: string
  readonly tag?: string
  readonly source: string
}

export interface Uploaded {
  readonly program: ProgramRecord
  readonly version: VersionRecord
  /** What a declaration of Durable Object classes changed. */
  readonly objects: ObjectChange | undefined
}

/**
 * `deploy: true` makes a program that is not there and lets the version serve all traffic; otherwise the version waits for
 * a rollout. Throws a `Refusal`; nothing is stored then and what served goes on serving.
 */
export async function uploadVersion(
  office: Office,
  forgetting: Forgetting,
  name: ProgramName,
  upload: Upload,
  { deploy }: { readonly deploy: boolean },
): Promise<Uploaded> {
  checkUploadName(office.ledger.state, name)
  const others = upload.migrations?.steps.flatMap((step) => step.transferredClasses.map((one) => one.program)) ?? []
  return office.ledger.exclusively([name, ...others], async () => {
    await office.ledger.upToDate()
    const held = office.ledger.state.programs.get(name)
    if (held === undefined && !deploy) throw new Refusal('no_program', `There is no program '${name}'.`)
    if (held === undefined && (office.ledger.state.sites.has(name) || isServiceSite(office.ledger.state, name)))
      throw new Refusal('address_taken', `'${name}' is the name of a site.`)
    const record = held?.record ?? newProgram(office, name)
    const latest = record.versions.length === 0 ? undefined : await heldVersion(office, record)
    const within = programWithin(office.ledger.state, name)
    const drafted = await readImports(office, draftVersion(office, record, latest, upload))
    const draft = await placeVersion(office, drafted, within)
    const change = objectChange(office, record, upload, { deploy })
    const objects = change?.objects ?? record.objects
    checkDeletedBindings(draft, change)
    if (!deploy) checkDeclaredBindings(draft, objects)
    await checkBound(office, name, draft, objects)
    const version = await proveVersion(office, draft, objects, record.objects)
    checkWorkflowClasses(
      { ...version, bindings: version.bindings as readonly Binding[] },
      upload.declaredWorkflows ?? [],
    )
    await checkBlobs(office, version)

    const stored = withVersion(office, record, version)
    if (!deploy) {
      await settle(office, version, stored)
      return { program: stored, version, objects: undefined }
    }
    const serving = withSettings(office, withRollout(office, stored, deployment(office, version, upload)), upload)
    const next: ProgramRecord = {
      ...serving,
      objects: [...objects],
      ...(change?.tag !== undefined && { migrationTag: change.tag }),
    }
    await forgetting.note(change?.removed ?? [])
    await settle(office, version, next, transferSources(office, change))
    await forgetting.run(office.ledger.state)
    return { program: next, version, objects: change }
  })
}

const deployment = (office: Office, version: VersionRecord, upload: Upload) =>
  newRollout(office, upload.source, [{ version: version.id, percent: 100 }], upload.message)

function draftVersion(
  office: Office,
  record: ProgramRecord,
  latest: VersionRecord | undefined,
  upload: Upload,
): VersionRecord {
  const assets = upload.assets ?? (upload.keepAssets ? latest?.assets : undefined)
  if (upload.code === undefined && assets === undefined)
    throw new Refusal('no_code', 'The upload has neither a main module nor assets.')
  const { code, message, tag, declaredObjects, frontCache } = upload
  return {
    id: randomUUID(),
    program: record.name,
    number: record.nextNumber,
    createdAt: office.clock(),
    source: upload.source,
    bindings: resolveBindings(upload, (latest?.bindings ?? []) as Binding[], office.seal, office.limits),
    limits: upload.limits,
    exports: [],
    startupMs: 0,
    ...(code !== undefined && {
      code: { ...code, modules: [...code.modules], compatibilityFlags: [...code.compatibilityFlags] },
    }),
    ...(assets !== undefined && { assets: storedAssets(assets) }),
    ...(frontCache !== undefined && { frontCache }),
    ...(message !== undefined && { message }),
    ...(tag !== undefined && { tag }),
    ...(declaredObjects !== undefined && { declaredObjects: { ...declaredObjects } }),
  }
}

function storedAssets(assets: AssetsDeployment): NonNullable<VersionRecord['assets']> {
  const { runProgramFirst } = assets
  return { ...assets, runProgramFirst: typeof runProgramFirst === 'boolean' ? runProgramFirst : [...runProgramFirst] }
}

function withSettings(office: Office, record: ProgramRecord, upload: Upload): ProgramRecord {
  const { tailConsumers } = upload
  return {
    ...record,
    ...(upload.tags !== undefined && { tags: [...upload.tags] }),
    ...(upload.observability !== undefined && { observability: upload.observability }),
    ...(tailConsumers && { tailConsumers: checkTailConsumers(office, record.name, tailConsumers) }),
  }
}

function objectChange(
  office: Office,
  record: ProgramRecord,
  upload: Upload,
  { deploy }: { readonly deploy: boolean },
): ObjectChange | undefined {
  if (upload.migrations !== undefined) {
    if (!deploy)
      throw new Refusal(
        'migration_in_version',
        'Version upload failed. You attempted to upload a version of a Worker that includes a Durable Object migration, but migrations must be fully applied via a non-versioned deployment.',
      )
    return applyMigrations(objectWorld(office, record), upload.migrations)
  }
  if (upload.declaredObjects === undefined || !deploy) return undefined
  return reconcileObjects(objectWorld(office, record), upload.declaredObjects)
}

function checkDeletedBindings(version: VersionRecord, change: ObjectChange | undefined): void {
  for (const { className } of change?.removed ?? [])
    for (const binding of version.bindings)
      if (binding.kind === 'objects' && binding.className === className && isOwn(binding, version.program))
        throw new Refusal(
          'class_bound',
          `Cannot apply --delete-class migration to class '${className}' without also removing the binding that references it.`,
        )
}

function checkDeclaredBindings(version: VersionRecord, objects: readonly ObjectNamespace[]): void {
  for (const binding of version.bindings) {
    if (binding.kind !== 'objects' || !isOwn(binding, version.program)) continue
    if (version.declaredObjects?.[binding.className]?.state !== 'created') continue
    if (objects.some((object) => object.className === binding.className)) continue
    throw new Refusal(
      'binding_before_exports',
      `Binding '${binding.name}' is to class '${binding.className}', whose exports entry takes effect only when a version is deployed. Deploy it first, or leave the binding out of this version.`,
    )
  }
}

const isOwn = (binding: { program?: string }, program: ProgramName) =>
  binding.program === undefined || binding.program === program

/** Programs that hand a class over lose it; their serving versions must not be bound to it any more. */
function transferSources(office: Office, change: ObjectChange | undefined): ProgramRecord[] {
  const sources = new Map<ProgramName, ProgramRecord>()
  for (const { program, className } of change?.transferred ?? []) {
    const held = office.ledger.state.programs.get(program)!
    for (const version of held.serving.values())
      for (const binding of version.bindings)
        if (binding.kind === 'objects' && binding.className === className && isOwn(binding, program))
          throw new Refusal(
            'class_bound',
            `Cannot transfer class '${className}' from '${program}' while that program is bound to it as '${binding.name}'.`,
          )
    const record = sources.get(program) ?? held.record
    sources.set(program, { ...record, objects: record.objects.filter((object) => object.className !== className) })
  }
  return [...sources.values()]
}

async function checkBlobs(office: Office, version: VersionRecord): Promise<void> {
  for (const module of version.code?.modules ?? [])
    if (!(await office.pins.stillThere(office.fabric.blobs, module.blob)))
      throw new Refusal('conflict', `Module '${module.name}' was removed while it was uploaded. Try again.`)
  for (const binding of version.bindings)
    if (binding.kind === 'blob' && !(await office.pins.stillThere(office.fabric.blobs, binding.blob)))
      throw new Refusal('conflict', `The bytes of '${binding.name}' were removed while they were uploaded. Try again.`)
}

/** Of Workers, and of Node as Workers have it. */
const socketsImport = /["'](?:cloudflare:sockets|(?:node:)?(?:net|tls))["']/
const emailImport = /["']cloudflare:email["']/
/** The runtime's own `cache` leads nowhere outside Cloudflare: it would be found missing only when something is purged. */
const cacheImport = /import\s*(?:[\w$]+\s*,\s*)?\{[^}]*\bcache\b[^}]*\}\s*from\s*["']cloudflare:workers["']/

/** What the text of its modules tells: what it may need, and what it asks for in vain. Throws a `Refusal` (`unsupported`). */
async function readImports({ fabric }: Office, draft: VersionRecord): Promise<VersionRecord> {
  const { code, frontCache } = draft
  let usesSockets = false
  let usesEmail = false
  for (const { name, kind, blob } of code?.modules ?? []) {
    if (kind !== 'esm' && kind !== 'cjs') continue
    const text = Buffer.from((await fabric.blobs.get(blob)) ?? []).toString('utf8')
    usesSockets ||= socketsImport.test(text)
    usesEmail ||= emailImport.test(text)
    if (frontCache !== undefined && kind === 'esm' && cacheImport.test(text))
      throw new Refusal(
        'unsupported',
        `Module '${name}' imports cache from "cloudflare:workers", which Rimward cannot give. Use ctx.cache.purge().`,
      )
  }
  return { ...draft, ...(usesSockets && { usesSockets }), ...(usesEmail && { usesEmail }) }
}
