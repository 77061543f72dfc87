/**
 * The control plane: a change in, a new Snapshot out. A change is acknowledged once the data plane has adopted the Snapshot
 * and the records are on disk; a refused one leaves everything as it was.
 */
import type { Limits } from '#/core/limits.ts'
import type { Place, Within } from '#/core/pops.ts'
import type { Engine, Fabric, Seal } from '#/core/ports.ts'
import type { Resource, ResourceKind } from '#/core/resources.ts'
import type { BlobHash, ProgramName, Snapshot } from '#/core/snapshot.ts'
import type { Clock } from '#/core/units.ts'
import { bucketSites } from './bucket-sites.ts'
import { changeProgram, findReferences, type ProgramChange, type References, removeProgram } from './change-program.ts'
import { changeProgramSite, type ProgramSiteChange } from './change-program-site.ts'
import { changeSecrets, type SecretChange } from './change-secrets.ts'
import { changeSite, putSite, removeSite, type SiteChange, type SiteWish } from './change-sites.ts'
import { type DomainRulesRecord, type DomainRulesWish, setDomainRules } from './domain-rules.ts'
import type { State } from './fold.ts'
import { createForgetting } from './forget-objects.ts'
import { openLedger } from './ledger.ts'
import type { Follow } from './ledger-port.ts'
import { heldProgram, heldVersion, type Office } from './office.ts'
import { blobsOfVersion, openForPeople } from './place-versions.ts'
import { keyOf, type Placed, type PlacementRecord, programWithin } from './placements.ts'
import type { ProgramRecord, RolloutRecord, SiteRecord, VersionRecord } from './records.ts'
import { changeResource, createResource, type ResourceWish, removeResource, resourcesOf } from './resources.ts'
import { createServices, type Services } from './services/services.ts'
import { finishPlacements, noteErased, type PlacementOffice, setPlacement } from './set-placement.ts'
import { type RolloutWish, setRollout } from './set-rollout.ts'
import { createPins, sweepBlobs } from './sweep-blobs.ts'
import { type Upload, type Uploaded, uploadVersion } from './upload-version.ts'

export interface ControlDeps {
  readonly fabric: Fabric
  readonly seal: Seal
  readonly engine: Pick<Engine, 'prove' | 'forget'>
  readonly limits: Limits
  readonly clock: Clock
  /** Makes the data plane ready for a Snapshot and switches to it; rejects when it cannot, and serves the one before. */
  readonly adopt: (snapshot: Snapshot) => Promise<void>
  /** Hands the data plane what others committed; absent: `adopt`, whose failure is logged. Never rejects. */
  readonly follow?: Follow
  /** Name of this process in the log of changes. */
  readonly by?: string
  readonly log?: (message: string, error: unknown) => void
  /** Does a key-value namespace of this id exist? Absent: bindings to namespaces are not checked. */
  readonly hasStore?: (store: string) => Promise<boolean>
  /** Blobs of the same fabric that other rooms' records name. */
  readonly alsoInUse?: () => AsyncIterable<BlobHash>
  /** Does a shared store hold this secret? Absent: bindings to these are not checked. */
  readonly hasSecret?: (store: string, secret: string) => boolean
  /** Where objects of a namespace live; absent: nowhere that counts. */
  readonly homesOf?: PlacementOffice['homesOf']
  readonly moveKeys?: PlacementOffice['moveKeys']
  /** All nodes of the platform; absent: no site can name a shield. */
  readonly places?: () => readonly Place[]
  /** Domain below which programs have names of their own. */
  readonly hostnameSuffix?: string
}

/** Blobs of one upload in flight; they are safe from the sweep until `release`. */
export interface Stage {
  put(bytes: Uint8Array | AsyncIterable<Uint8Array>): Promise<{ readonly hash: BlobHash; readonly bytes: number }>
  /** Is all of it still there? Ask before a record names it: a sweep that had begun is over by then. */
  intact(): Promise<boolean>
  release(): void
}

/** Every method that changes something throws a `Refusal` and then has changed nothing. */
export interface Control {
  readonly snapshot: Snapshot
  places(): readonly Place[]
  onSnapshot(listener: (snapshot: Snapshot) => void): () => void
  /** Records that did not parse at start and were left out. */
  readonly problems: readonly string[]
  /** Why later changes are neither followed nor made here. */
  readonly stuck: string | undefined
  readonly hostnameSuffix: string
  programs(): readonly ProgramRecord[]
  findProgram(name: ProgramName): ProgramRecord | undefined
  program(name: ProgramName): ProgramRecord
  /** Without an id: the latest. */
  version(name: ProgramName, id?: string): Promise<VersionRecord>
  /** Newest first. */
  versions(name: ProgramName): Promise<readonly VersionRecord[]>
  references(name: ProgramName): References
  /** Resolves when this control plane knows every setting that was acknowledged; throws a `Refusal` (`conflict`) otherwise. */
  upToDate(): Promise<void>
  /** Its blobs lie where what they are for may be. */
  stage(placed: Placed): Stage
  readBlob(hash: BlobHash): Promise<Uint8Array | undefined>
  upload(name: ProgramName, upload: Upload, how: { readonly deploy: boolean }): Promise<Uploaded>
  setRollout(name: ProgramName, wish: RolloutWish): Promise<{ program: ProgramRecord; rollout: RolloutRecord }>
  changeSecrets(
    name: ProgramName,
    change: SecretChange,
    how: { readonly deploy: boolean },
  ): Promise<{ program: ProgramRecord; version: VersionRecord }>
  changeProgram(name: ProgramName, change: ProgramChange): Promise<ProgramRecord>
  removeProgram(name: ProgramName, how: { readonly force: boolean }): Promise<void>
  sites(): readonly SiteRecord[]
  siteAdd(wish: SiteWish): Promise<SiteRecord>
  siteChange(name: string, change: SiteChange): Promise<SiteRecord>
  siteRemove(name: string): Promise<void>
  /** The same for the site of a program. */
  programSiteChange(name: ProgramName, change: ProgramSiteChange): Promise<void>
  readonly services: Services
  /** Where things may be; what is not among them may be anywhere. */
  placements(): readonly PlacementRecord[]
  /** Countries where a program of this name may run, also before it is there. */
  withinOf(program: ProgramName): Within | undefined
  /** Undefined: anywhere. What does not exist yet will be there once it does. */
  setPlacement(placed: Placed, within: Within | undefined): Promise<void>
  /** Has every node rewrite what its disk had of what was removed from what nodes share. */
  noteErased(): Promise<void>
  /** In the order of their making. */
  resources(kind: ResourceKind): readonly Resource[]
  createResource(wish: ResourceWish): Promise<Resource>
  changeResource(
    resource: Pick<Resource, 'kind' | 'id'>,
    change: (now: Resource) => Partial<Pick<Resource, 'name' | 'settings'>>,
  ): Promise<Resource>
  removeResource(resource: Pick<Resource, 'kind' | 'id'>): Promise<void>
  domainRules(): readonly DomainRulesRecord[]
  /** Undefined removes them. */
  setDomainRules(domain: string, wish: DomainRulesWish | undefined): Promise<void>
  /** Every blob that a version names: modules, assets' manifests and the files in these. */
  blobsInUse(): AsyncIterable<BlobHash>
  /** Removes blobs that neither a version nor `alsoInUse` (other rooms' records) names. */
  sweep(alsoInUse: () => AsyncIterable<BlobHash>): Promise<{ removed: number; bytes: number }>
  /** Follows others no longer; resolves once its own changes are recorded. */
  close(): Promise<void>
}

export async function createControl(deps: ControlDeps): Promise<Control> {
  const { fabric, engine, limits, clock, hostnameSuffix = 'localhost' } = deps
  const log = deps.log ?? ((message, error) => process.emitWarning(`${message}: ${String(error)}`))
  const { adopt } = deps
  const follow =
    deps.follow ?? ((snapshot) => adopt(snapshot).catch((error) => log('a Snapshot was not adopted', error)))
  const ledger = await openLedger({ fabric, hostnameSuffix, limits, clock, by: deps.by ?? 'local', adopt, follow, log })
  const pins = createPins()
  const { hasStore = async () => true, hasSecret = () => true, places = () => [] } = deps
  const office: Office = {
    ledger,
    fabric,
    seal: deps.seal,
    engine,
    limits,
    clock,
    pins,
    hostnameSuffix,
    hasStore,
    hasSecret,
    places,
  }
  const forgetting = createForgetting(fabric, engine)
  if (ledger.stuck === undefined) await forgetting.run(ledger.state)

  const services = createServices(office)
  async function* inUse() {
    yield* blobsInUse(office)
    yield* services.blobsInUse()
    yield* ledger.blobsInUse()
    if (deps.alsoInUse !== undefined) yield* deps.alsoInUse()
  }
  const { homesOf = async () => [], moveKeys = async () => 0 } = deps
  const forget = (names: readonly BlobHash[]) => forgetBlobs(office, names, inUse)
  const placing: PlacementOffice = { ...office, homesOf, moveKeys, forgetBlobs: forget }
  const isPlaced = finishPlacements(placing, log)

  const control: Control = {
    places,
    get snapshot() {
      return ledger.snapshot
    },
    onSnapshot: ledger.onSnapshot,
    problems: ledger.problems,
    get stuck() {
      return ledger.stuck
    },
    hostnameSuffix,
    programs: () => [...ledger.state.programs.values()].map((held) => held.record),
    findProgram: (name) => ledger.state.programs.get(name)?.record,
    program: (name) => heldProgram(office, name).record,
    async version(name, id) {
      return openForPeople(office, await heldVersion(office, heldProgram(office, name).record, id))
    },
    async versions(name) {
      const all = await ledger.versions(heldProgram(office, name).record)
      return Promise.all(all.map((version) => openForPeople(office, version)))
    },
    references: (name) => findReferences(office, name),
    upToDate: ledger.upToDate,
    stage: (placed) => openStage(office, placed),
    readBlob: (hash) => fabric.blobs.get(hash),
    upload: (name, upload, how) => uploadVersion(office, forgetting, name, upload, how),
    setRollout: (name, wish) => setRollout(office, forgetting, name, wish),
    changeSecrets: (name, change, how) => changeSecrets(office, name, change, how),
    changeProgram: (name, change) => changeProgram(office, name, change),
    removeProgram: (name, how) => removeProgram(office, forgetting, name, how),
    sites: () => [...ledger.state.sites.values()].map((held) => held.record),
    siteAdd: (wish) => putSite(office, wish),
    siteChange: (name, change) => changeSite(office, name, change),
    siteRemove: (name) => removeSite(office, name),
    programSiteChange: (name, change) => changeProgramSite(office, name, change),
    services,
    placements: () => [...ledger.state.placements.values()].map((held) => held.record),
    withinOf: (program) => programWithin(ledger.state, program),
    setPlacement: async (placed, within) => {
      await isPlaced
      await setPlacement(placing, placed, within)
      if (placed.kind !== 'bucket') return
      // What is cached of a public bucket stays where the bucket does.
      for (const id of bucketSites(placed.id))
        if (ledger.state.sites.has(id)) await setPlacement(placing, { kind: 'site', id }, within)
    },
    noteErased: () => noteErased(office),
    resources: (kind) => resourcesOf(office, kind),
    createResource: (wish) => createResource(office, wish),
    changeResource: (resource, change) => changeResource(office, resource, change),
    removeResource: (resource) => removeResource(office, resource),
    domainRules: () => [...ledger.state.domains.values()].map((held) => held.record),
    setDomainRules: (domain, wish) => setDomainRules(office, domain, wish),
    blobsInUse: inUse,
    sweep: (alsoInUse) =>
      sweepBlobs({
        blobs: fabric.blobs,
        now: clock(),
        grace: limits.blobGraceMs,
        pins,
        placed: [...ledger.state.placements.values()].map(({ record }) => record.within),
        inUse: async function* () {
          yield* inUse()
          yield* alsoInUse()
        },
      }),
    close() {
      ledger.close()
      return isPlaced.then(ledger.recorded)
    },
  }
  return control
}

function openStage({ fabric, pins, ledger }: Office, placed: Placed): Stage {
  const releases: (() => void)[] = []
  const stored: BlobHash[] = []
  let current: Promise<void> | undefined
  return {
    async put(bytes) {
      current ??= ledger.upToDate()
      await current
      const within = withinOf(ledger.state, placed)
      const put = await fabric.blobs.put(bytes, { within })
      stored.push(put.hash)
      releases.push(pins.pin(put.hash))
      return put
    },
    async intact() {
      for (const hash of stored) if (!(await pins.stillThere(fabric.blobs, hash))) return false
      return true
    },
    release() {
      for (const release of releases.splice(0)) release()
    },
  }
}

/** Where something may be, by what it is called. */
function withinOf(state: State, placed: Placed): Within | undefined {
  if (placed.kind === 'program') return programWithin(state, placed.id)
  return state.placements.get(keyOf(placed))?.record.within
}

/** Those that nothing names any more and no upload holds. */
async function forgetBlobs(
  { fabric, pins }: Office,
  names: readonly BlobHash[],
  inUse: () => AsyncIterable<BlobHash>,
): Promise<void> {
  const left = new Set(names)
  if (left.size > 0) for await (const name of inUse()) left.delete(name)
  for (const name of left) await pins.unlessPinned(name, () => fabric.blobs.delete(name))
}

/** Reads each version from the fabric: a version that cannot be read stops the sweep rather than losing its blobs. */
async function* blobsInUse({ ledger, fabric }: Office): AsyncGenerator<BlobHash> {
  if (ledger.problems.length > 0) throw new Error('some records could not be read, so it is not known what is in use')
  for (const { record } of ledger.state.programs.values())
    for (const id of record.versions) {
      const version = await ledger.version(record.name, id)
      if (version === undefined) continue
      yield* blobsOfVersion(version)
      if (version.assets !== undefined) yield* assetBlobs(await fabric.blobs.get(version.assets.manifest))
    }
}

/** A manifest is JSON, `{"/index.html": {"blob", …}}`. */
function* assetBlobs(manifest: Uint8Array | undefined): Generator<BlobHash> {
  if (manifest === undefined) return
  const files = JSON.parse(new TextDecoder().decode(manifest)) as Record<string, { readonly blob: BlobHash }>
  for (const { blob } of Object.values(files)) yield blob
}
