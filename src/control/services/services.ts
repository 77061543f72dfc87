/**
 * Services: sites whose origins and rules are written in versions. A version is a draft until it is activated; then it is
 * locked and serves. Activating an older one is the way back. Tables and address lists change without a version.
 * Every method that changes something throws a `Refusal` and then has changed nothing.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { compileRules } from '#/core/compile-rules.ts'
import type { Sealed } from '#/core/snapshot.ts'
import { checkFree, toHostname } from '../addresses.ts'
import type { Office } from '../office.ts'
import { Refusal } from '../refusal.ts'
import { createTables, type ServiceTables } from './change-tables.ts'
import { type HeldService, type ServiceChange, siteNameOf } from './held-services.ts'
import { newId } from './new-id.ts'
import type { ServiceDesign, ServicePart, ServiceRecord, ServiceVersionHead } from './service-records.ts'
import { createServiceVersions, type PartsChange, type ServiceVersions } from './service-versions.ts'

export interface Services extends ServiceTables {
  all(): readonly ServiceRecord[]
  service(id: string): ServiceRecord
  /** The name of the site that the service is, also while it does not serve. */
  siteName(id: string): string
  create(wish: { readonly name: string; readonly comment: string }): Promise<ServiceRecord>
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
  deactivate(id: string, number: number): Promise<ServiceVersionHead>
  /** A private key in PEM as it is kept; throws a `Refusal` (`bad_rule`) for what is none. */
  sealKey(pem: string): Sealed
  keyFits(certificate: string, key: Sealed): boolean
}

/** What the parts of services share. */
export interface ServiceOffice extends Pick<Office, 'ledger' | 'fabric' | 'limits' | 'clock' | 'hostnameSuffix'> {
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
        headOf(office.held(id).record, number)
        return addVersion(office, id, '', await versions.parts(id, number))
      }),
    newVersion: (id, comment) => office.alone(id, () => addVersion(office, id, comment, [])),
    setVersion: (id, number, wish) =>
      office.alone(id, () => changeHead(office, id, number, (head) => ({ ...head, ...wish }))),
    editParts: (id, number, change) =>
      office.alone(id, async () => {
        checkDraft(office.held(id).record, number)
        const result = await versions.edit(id, number, change)
        await changeHead(office, id, number, (head) => head)
        return result
      }),
    activate: (id, number, translate) => office.alone(id, () => activate(office, id, number, translate)),
    deactivate: (id, number) => office.alone(id, () => deactivate(office, id, number)),
    sealKey: (pem) => sealKey(given, pem),
    keyFits: (certificate, key) => keyFits(given, certificate, key),
  }
  return services
}

function createOffice(given: Office): ServiceOffice {
  const { ledger, fabric, limits, clock, hostnameSuffix } = given
  return {
    ledger,
    fabric,
    limits,
    clock,
    hostnameSuffix,
    versions: createServiceVersions({ fabric, limits }),
    held(id) {
      const held = ledger.state.services.get(id)
      if (held === undefined) throw new Refusal('no_service', `There is no service '${id.slice(0, 80)}'.`)
      return held
    },
    alone: (id, task) => ledger.exclusively([`service ${id}`], task),
    write: (change) => ledger.commit(() => ({ services: [change] })),
  }
}

async function create(office: ServiceOffice, wish: { name: string; comment: string }): Promise<ServiceRecord> {
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
    const { live } = record
    if (live !== undefined) checkFree(state, siteNameOf(office.held(id).record.name), hostnamesOf(office, record), [])
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

function hostnamesOf({ hostnameSuffix }: ServiceOffice, { name, live }: ServiceRecord): readonly string[] {
  return live === undefined || live.hostnames.length === 0 ? [`${siteNameOf(name)}.${hostnameSuffix}`] : live.hostnames
}

async function addVersion(office: ServiceOffice, id: string, comment: string, parts: readonly ServicePart[]) {
  const { record } = office.held(id)
  const now = office.clock()
  const number = (record.versions.at(-1)?.number ?? 0) + 1
  if (record.versions.length >= office.limits.serviceVersions)
    throw new Refusal('too_many', `'${record.name}' has ${office.limits.serviceVersions} versions already.`)
  const head = { number, comment, locked: false, createdAt: now, modifiedAt: now }
  // What the end of the process left of a version without a head is written over.
  await office.versions.edit(id, number, () => ({ parts, result: undefined }))
  await office.write({ id, record: { ...record, modifiedAt: now, versions: [...record.versions, head] } })
  return head
}

async function changeHead(
  office: ServiceOffice,
  id: string,
  number: number,
  change: (head: ServiceVersionHead) => ServiceVersionHead,
): Promise<ServiceVersionHead> {
  const { record } = office.held(id)
  const changed = { ...change(headOf(record, number)), modifiedAt: office.clock() }
  await office.write({ id, record: withHead(record, changed) })
  return changed
}

function withHead(record: ServiceRecord, head: ServiceVersionHead): ServiceRecord {
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
  const hostnames = [...new Set(design.hostnames.map((host) => toHostname(host, { wildcard: true })))]
  if (hostnames.length > office.limits.hostnamesPerProgram)
    throw new Refusal('too_many', `More than ${office.limits.hostnamesPerProgram} hostnames in one version.`)
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

async function deactivate(office: ServiceOffice, id: string, number: number): Promise<ServiceVersionHead> {
  const { record } = office.held(id)
  const head = headOf(record, number)
  if (record.active !== number) throw new Refusal('conflict', `Version ${number} is not active.`)
  const { active: _active, live: _live, ...rest } = record
  await office.write({ id, record: { ...rest, modifiedAt: office.clock() } })
  return head
}

function headOf(record: ServiceRecord, number: number): ServiceVersionHead {
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
