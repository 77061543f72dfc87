/**
 * Services: sites whose origins and rules are written in versions. A version is a draft until it is activated; then it is
 * locked and serves. Activating an older one is the way back. Tables and address lists change without a version.
 * Every method that changes something throws a `Refusal` and then has changed nothing.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { compileRules } from '#/core/compile-rules.ts'
import { EdgeError } from '#/core/errors.ts'
import { sameWithin } from '#/core/residency.ts'
import { siteNameOf } from '#/core/service-site-name.ts'
import type { BlobHash, Sealed } from '#/core/snapshot.ts'
import { checkFree, toHostname } from '../addresses.ts'
import type { Office } from '../office.ts'
import { Refusal } from '../refusal.ts'
import { activateProgram, stageProgram, unstageProgram } from './activate-program.ts'
import { createTables, type ServiceTables } from './change-tables.ts'
import type { HeldService, ServiceChange } from './held-services.ts'
import { newId } from './new-id.ts'
import { type ComputeDesign, programHostnames } from './service-program.ts'
import type { ServiceDesign, ServicePart, ServiceRecord, ServiceVersionHead } from './service-records.ts'
import { createServiceVersions, moved, type PartsChange, type ServiceVersions } from './service-versions.ts'

export interface Services extends ServiceTables {
  all(): readonly ServiceRecord[]
  service(id: string): ServiceRecord
  /** The name of the site that the service is, also while it does not serve. */
  siteName(id: string): string
  create(wish: Pick<ServiceRecord, 'name' | 'comment' | 'kind'>): Promise<ServiceRecord>
  update(id: string, wish: { readonly name?: string; readonly comment?: string }): Promise<ServiceRecord>
  /** Throws `version_locked` while a version is active. */
  remove(id: string): Promise<void>
  version(id: string, number: number): ServiceVersionHead
  parts(id: string, number: number): Promise<readonly ServicePart[]>
  /** A draft with the same parts, the newest version from now on. */
  cloneVersion(id: string, number: number): Promise<ServiceVersionHead>
  /** An empty draft. */
  newVersion(id: string, comment: string): Promise<ServiceVersionHead>
  /** Comments also on locked versions; a lock stays. */
  setVersion(
    id: string,
    number: number,
    wish: { readonly comment?: string; readonly locked?: true },
  ): Promise<ServiceVersionHead>
  /** `change` gets the parts of a draft and returns those that it shall have. */
  editParts<Result>(id: string, number: number, change: PartsChange<Result>): Promise<Result>
  /** `translate` turns the parts into our nouns, or throws; then the version serves. */
  activate(
    id: string,
    number: number,
    translate: (parts: readonly ServicePart[]) => ServiceDesign,
  ): Promise<ServiceVersionHead>
  /** The same where versions are programs: the engine proves it first. Throws also `does_not_start`. */
  activateProgram(
    id: string,
    number: number,
    translate: (parts: readonly ServicePart[]) => ComputeDesign,
  ): Promise<ServiceVersionHead>
  /** Beside the active version, for who asks for it. Throws also `conflict` where none is active, or this one is. */
  stageProgram(
    id: string,
    number: number,
    translate: (parts: readonly ServicePart[]) => ComputeDesign,
  ): Promise<ServiceVersionHead>
  /** Throws `conflict` where it is not staged. */
  unstageProgram(id: string, number: number): Promise<ServiceVersionHead>
  deactivate(id: string, number: number): Promise<ServiceVersionHead>
  /** What parts of versions name. */
  blobsInUse(): AsyncIterable<BlobHash>
  /** A private key in PEM as it is kept; throws a `Refusal` (`bad_rule`) for what is none. */
  sealKey(pem: string): Sealed
  keyFits(certificate: string, key: Sealed): boolean
}

/** What the parts of services share. */
export interface ServiceOffice
  extends Pick<Office, 'ledger' | 'fabric' | 'engine' | 'limits' | 'clock' | 'hostnameSuffix'> {
  readonly versions: ServiceVersions
  held(id: string): HeldService
  /** Runs alone among the changes of this service. */
  alone<Result>(id: string, task: () => Promise<Result>): Promise<Result>
  write(change: ServiceChange): Promise<void>
}

export function createServices(given: Office): Services {
  const office = createOffice(given)
  const { ledger, versions } = office

  const services: Services = {
    ...createTables(office),
    all: () => [...ledger.state.services.values()].map(({ record }) => record),
    service: (id) => office.held(id).record,
    siteName: (id) => siteNameOf(office.held(id).record.name),
    create: (wish) => create(office, wish),
    update: (id, wish) => office.alone(id, () => update(office, id, wish)),
    remove: (id) => office.alone(id, () => remove(office, id)),
    version: (id, number) => headOf(office.held(id).record, number),
    parts(id, number) {
      headOf(office.held(id).record, number)
      return versions.parts(id, number)
    },
    cloneVersion: (id, number) =>
      office.alone(id, async () => {
        await ledger.upToDate()
        headOf(office.held(id).record, number)
        return addVersion(office, id, '', await versions.parts(id, number))
      }),
    newVersion: (id, comment) =>
      office.alone(id, async () => {
        await ledger.upToDate()
        return addVersion(office, id, comment, [])
      }),
    setVersion: (id, number, wish) =>
      office.alone(id, () => changeHead(office, id, number, (head) => ({ ...head, ...wish }))),
    editParts: (id, number, change) =>
      office.alone(id, async () => {
        checkDraft(office.held(id).record, number)
        const within = versions.within(id)
        const result = await versions.edit(id, number, change)
        await changeHead(office, id, number, (head) => {
          if (!sameWithin(versions.within(id), within)) throw moved(number)
          return head
        })
        return result
      }),
    activate: (id, number, translate) => office.alone(id, () => activate(office, id, number, translate)),
    activateProgram: (id, number, translate) => office.alone(id, () => activateProgram(office, id, number, translate)),
    stageProgram: (id, number, translate) => office.alone(id, () => stageProgram(office, id, number, translate)),
    unstageProgram: (id, number) => office.alone(id, () => unstageProgram(office, id, number)),
    deactivate: (id, number) => office.alone(id, () => deactivate(office, id, number)),
    blobsInUse: () => blobsInUse(office),
    sealKey: (pem) => sealKey(given, pem),
    keyFits: (certificate, key) => keyFits(given, certificate, key),
  }
  return services
}

function createOffice(given: Office): ServiceOffice {
  const { ledger, fabric, engine, limits, clock, hostnameSuffix } = given
  return {
    ledger,
    fabric,
    engine,
    limits,
    clock,
    hostnameSuffix,
    versions: createServiceVersions({ fabric, limits, ledger }),
    held(id) {
      const held = ledger.state.services.get(id)
      if (held === undefined) throw new Refusal('no_service', `There is no service '${id.slice(0, 80)}'.`)
      return held
    },
    alone: (id, task) => ledger.exclusively([`service ${id}`], task),
    write: (change) => ledger.commit(() => ({ services: [change] })),
  }
}

async function create(
  office: ServiceOffice,
  wish: Pick<ServiceRecord, 'name' | 'comment' | 'kind'>,
): Promise<ServiceRecord> {
  const now = office.clock()
  const head = { number: 1, comment: '', locked: false, createdAt: now, modifiedAt: now }
  const record = { id: newId(), ...wish, createdAt: now, modifiedAt: now, versions: [head] }
  await office.versions.add(record.id, 1, [])
  await office.ledger.commit((state) => {
    if (state.services.size >= office.limits.services)
      throw new Refusal('too_many', `There are ${office.limits.services} services already.`)
    checkName(office, record)
    return { services: [{ id: record.id, record }] }
  })
  return record
}

async function update(office: ServiceOffice, id: string, wish: { name?: string; comment?: string }) {
  const record = { ...office.held(id).record, ...wish, modifiedAt: office.clock() }
  await office.ledger.commit((state) => {
    checkName(office, record)
    if (record.active !== undefined)
      checkFree(state, siteNameOf(office.held(id).record.name), hostnamesOf(office, record), [])
    return { services: [{ id, record }] }
  })
  return record
}

async function remove(office: ServiceOffice, id: string): Promise<void> {
  const { record } = office.held(id)
  if (record.active !== undefined)
    throw new Refusal('version_locked', `Version ${record.active} of '${record.name}' is active; deactivate it first.`)
  await office.write({ id, removed: true })
  await office.versions.drop(id, record.versions)
}

/** Names of services are unique, and so are the names of the sites that they are. */
function checkName({ ledger }: ServiceOffice, record: ServiceRecord): void {
  const site = siteNameOf(record.name)
  if (record.name.length > 255 || site === '')
    throw new Refusal('bad_name', 'A name has 1 to 255 characters, and a letter or digit among them.')
  const { programs, sites, services } = ledger.state
  if (programs.has(site) || sites.has(site))
    throw new Refusal('address_taken', `'${site}' is the name of a site or program of this platform.`)
  for (const other of services.values())
    if (other.record.id !== record.id && siteNameOf(other.record.name) === site)
      throw new Refusal('name_twice', `Name '${record.name}' has already been taken by service ${other.record.id}.`)
}

export function hostnamesOf(
  { hostnameSuffix }: ServiceOffice,
  { name, live, program }: ServiceRecord,
): readonly string[] {
  return programHostnames(siteNameOf(name), program ?? { hostnames: live?.hostnames ?? [] }, hostnameSuffix)
}

async function addVersion(office: ServiceOffice, id: string, comment: string, parts: readonly ServicePart[]) {
  const { record } = office.held(id)
  const now = office.clock()
  const within = office.versions.within(id)
  const number = await addParts(office, id, (record.versions.at(-1)?.number ?? 0) + 1, parts)
  const fallen = record.versions
    .filter(({ number }) => number !== record.active && number !== record.staged?.version)
    .slice(0, tooMany(office, record))
  const head = { number, comment, locked: false, createdAt: now, modifiedAt: now }
  const versions = [...record.versions.filter((one) => !fallen.includes(one)), head]
  try {
    await office.write({ id, record: { ...record, modifiedAt: now, versions } })
  } catch (error) {
    await office.versions.leave(id, number, within)
    throw error
  }
  await office.versions.drop(id, fallen)
  return head
}

/** Another control plane may be adding a version too, and a crash may have left one without a head: the next number then. */
async function addParts(office: ServiceOffice, id: string, first: number, parts: readonly ServicePart[]) {
  for (let number = first; ; number++)
    try {
      await office.versions.add(id, number, parts)
      return number
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== 'conflict' || number > first + 20) throw error
    }
}

/** How many of the oldest versions fall off, so that one more fits. */
function tooMany({ limits }: ServiceOffice, { versions }: ServiceRecord): number {
  return Math.max(0, versions.length + 1 - limits.serviceVersions)
}

async function changeHead(
  office: ServiceOffice,
  id: string,
  number: number,
  change: (head: ServiceVersionHead) => ServiceVersionHead,
): Promise<ServiceVersionHead> {
  const now = office.clock()
  const changed = () => ({ ...change(headOf(office.held(id).record, number)), modifiedAt: now })
  // Parts may be written by now: this must not begin anew when others changed the service too.
  await office.ledger.commit(() => ({ services: [{ id, record: withHead(office.held(id).record, changed()) }] }), {
    fresh: true,
  })
  return headOf(office.held(id).record, number)
}

export function withHead(record: ServiceRecord, head: ServiceVersionHead): ServiceRecord {
  const versions = record.versions.map((one) => (one.number === head.number ? head : one))
  return { ...record, versions, modifiedAt: head.modifiedAt }
}

async function activate(
  office: ServiceOffice,
  id: string,
  number: number,
  translate: (parts: readonly ServicePart[]) => ServiceDesign,
): Promise<ServiceVersionHead> {
  const { record } = office.held(id)
  const head = { ...headOf(record, number), locked: true, modifiedAt: office.clock() }
  const design = translate(await office.versions.parts(id, number))
  if (design.rules.pools.length === 0) throw new Refusal('bad_rule', 'Version has no origin to send requests to.')
  const hostnames = readHostnames(office, design)
  try {
    compileRules(design.rules)
  } catch (error) {
    throw new Refusal('bad_rule', (error as Error).message)
  }
  const live = { ...design, hostnames }
  await office.ledger.commit((state) => {
    const next = { ...withHead(record, head), active: number, live }
    checkFree(state, siteNameOf(record.name), hostnamesOf(office, next), [])
    return { services: [{ id, record: next }] }
  })
  return head
}

/** Lower case, each once. Throws a `Refusal` (`bad_address`, `too_many`). */
export function readHostnames({ limits }: ServiceOffice, design: { readonly hostnames: readonly string[] }): string[] {
  const hostnames = [...new Set(design.hostnames.map((host) => toHostname(host, { wildcard: true })))]
  if (hostnames.length > limits.hostnamesPerProgram)
    throw new Refusal('too_many', `More than ${limits.hostnamesPerProgram} hostnames in one version.`)
  return hostnames
}

async function deactivate(office: ServiceOffice, id: string, number: number): Promise<ServiceVersionHead> {
  const { record } = office.held(id)
  const head = headOf(record, number)
  if (record.active !== number) throw new Refusal('conflict', `Version ${number} is not active.`)
  // What is staged has its address from what is active.
  const { active: _active, live: _live, program: _program, staged: _staged, ...rest } = record
  await office.write({ id, record: { ...rest, modifiedAt: office.clock() } })
  return head
}

/** Reads every version of the services that have programs. */
async function* blobsInUse({ ledger, versions }: ServiceOffice): AsyncGenerator<BlobHash> {
  for (const { record } of ledger.state.services.values()) {
    for (const made of [record.program, record.staged?.program]) if (made !== undefined) yield made.module
    if (record.kind !== 'compute') continue
    // What stays elsewhere names blobs that stay there too.
    for (const { number } of record.versions)
      for (const { blobs = [] } of await versions.parts(record.id, number).catch(noneElsewhere)) yield* blobs
  }
}

function noneElsewhere(error: unknown): readonly ServicePart[] {
  if (error instanceof EdgeError && error.code === 'not_here') return []
  throw error
}

export function headOf(record: ServiceRecord, number: number): ServiceVersionHead {
  const head = record.versions.find((one) => one.number === number)
  if (head === undefined) throw new Refusal('no_version', `'${record.name}' has no version ${number}.`)
  return head
}

/** Throws a `Refusal` (`no_version`, `version_locked`). */
export function checkDraft(record: ServiceRecord, number: number): void {
  if (headOf(record, number).locked || record.active === number)
    throw new Refusal('version_locked', `Version ${number} of service ${record.id} is locked and cannot be modified.`)
}

function sealKey({ seal }: Office, pem: string): Sealed {
  try {
    createPrivateKey(pem)
  } catch {
    throw new Refusal('bad_rule', 'The private key is not one in PEM without a password.')
  }
  return seal.seal(pem)
}

function keyFits({ seal }: Office, certificate: string, key: Sealed): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(seal.open(key)))
  } catch {
    return false
  }
}
