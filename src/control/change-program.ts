/** What belongs to a program rather than to a version: addresses, settings, and its end. */
import { parseCron } from '#/core/cron.ts'
import { alter } from '#/core/kept-map.ts'
import type { ObjectNamespace, ProgramName } from '#/core/snapshot.ts'
import { carryAddresses, checkFree, ownerOfHostname, toHostname, toRoute } from './addresses.ts'
import type { State } from './fold.ts'
import type { Forgetting } from './forget-objects.ts'
import { heldProgram, type Office } from './office.ts'
import type { ProgramRecord } from './records.ts'
import { Refusal } from './refusal.ts'

/** Fields that are absent stay as they are; lists replace those that were. */
export interface ProgramChange {
  readonly local?: boolean
  readonly routes?: readonly string[]
  readonly hostnames?: readonly string[]
  readonly tags?: readonly string[]
  /** Serialized JSON; null removes. */
  readonly observability?: string | null
  readonly crons?: readonly string[]
  readonly tailConsumers?: readonly ProgramName[]
  /** Take hostnames from other programs that have them. */
  readonly takeOver?: boolean
}

/** Throws a `Refusal` (`no_program`, `bad_address`, `address_taken`, `bad_cron`, `program_unknown`, `too_many`). */
export async function changeProgram(office: Office, name: ProgramName, change: ProgramChange): Promise<ProgramRecord> {
  const { limits, ledger } = office
  const routes = change.routes && [...new Set(change.routes.map(toRoute))]
  const hostnames = change.hostnames && [
    ...new Set(change.hostnames.map((host) => toHostname(host, { wildcard: false }))),
  ]
  atMost('routes', routes, limits.routesPerProgram)
  atMost('hostnames', hostnames, limits.hostnamesPerProgram)
  return ledger.exclusively([name], async () => {
    const { record } = heldProgram(office, name)
    const { observability, ...rest } = record
    const crons = change.crons && keptCrons(change.crons, record, office)
    const tailConsumers = change.tailConsumers && checkTailConsumers(office, name, change.tailConsumers)
    const kept = change.observability === undefined ? observability : (change.observability ?? undefined)
    const next: ProgramRecord = {
      ...rest,
      modifiedAt: office.clock(),
      ...(change.local !== undefined && { local: change.local }),
      ...(routes !== undefined && { routes }),
      ...(hostnames !== undefined && { hostnames }),
      ...(change.tags !== undefined && { tags: [...change.tags] }),
      ...(kept !== undefined && { observability: kept }),
      ...(crons !== undefined && { crons }),
      ...(tailConsumers !== undefined && { tailConsumers }),
    }
    await ledger.commit((state) => {
      const losers = change.takeOver === true ? losing(state, name, hostnames ?? []) : []
      const free = losers.length === 0 ? state : without(state, losers)
      const own = change.local === true ? [`${name}.${office.hostnameSuffix}`] : []
      checkFree(free, name, [...own, ...(hostnames ?? [])], routes ?? [])
      return { programs: [...losers, next].map((record) => ({ name: record.name, record })) }
    })
    return next
  })
}

/** One that was there keeps the time of its making. */
function keptCrons(wanted: readonly string[], { crons = [] }: ProgramRecord, { limits, clock }: Office) {
  const all = [...new Set(wanted)]
  atMost('schedules', all, limits.cronsPerProgram)
  for (const cron of all)
    if (parseCron(cron) === undefined) throw new Refusal('bad_cron', `invalid cron string: '${cron.slice(0, 100)}'`)
  return all.map((cron) => crons.find((known) => known.cron === cron) ?? { cron, createdAt: clock() })
}

/** Throws a `Refusal` (`program_unknown`, `unsupported`, `too_many`). */
export function checkTailConsumers(
  { ledger, limits }: Pick<Office, 'ledger' | 'limits'>,
  name: ProgramName,
  consumers: readonly ProgramName[],
): ProgramName[] {
  const all = [...new Set(consumers)]
  atMost('tail consumers', all, limits.tailConsumersPerProgram)
  for (const consumer of all) {
    if (consumer === name) throw new Refusal('unsupported', `'${name}' cannot be its own tail consumer.`)
    if (!ledger.state.programs.has(consumer))
      throw new Refusal('program_unknown', `Tail consumer '${consumer.slice(0, 80)}' not found: deploy it first.`)
  }
  return all
}

function atMost(what: string, list: readonly string[] | undefined, most: number): void {
  if (list !== undefined && list.length > most)
    throw new Refusal('too_many', `${list.length} ${what} are more than the ${most} allowed for a program.`)
}

/** Records of other programs without the hostnames that they lose. */
function losing(state: State, name: ProgramName, hostnames: readonly string[]): ProgramRecord[] {
  const owners = new Set(hostnames.map((host) => ownerOfHostname(state, host)))
  owners.delete(name)
  return [...owners]
    .flatMap((owner) => state.programs.get(owner ?? '')?.record ?? [])
    .map((record) => ({ ...record, hostnames: record.hostnames.filter((host) => !hostnames.includes(host)) }))
}

function without(state: State, losers: readonly ProgramRecord[]): State {
  const programs = alter(state.programs)
  for (const record of losers) {
    const held = programs.get(record.name)!
    const gone = held.record.hostnames.filter((host) => !record.hostnames.includes(host))
    const site = held.site && { ...held.site, hostnames: held.site.hostnames.filter((host) => !gone.includes(host)) }
    programs.set(record.name, { ...held, record, site })
  }
  const free = { ...state, programs: programs.kept() }
  carryAddresses(state, free)
  return free
}

export interface References {
  /** Programs bound to this one. */
  readonly incoming: readonly { readonly program: ProgramName; readonly binding: string }[]
  /** Programs that this one is bound to. */
  readonly outgoing: readonly { readonly program: ProgramName; readonly binding: string }[]
  /** Programs bound to Durable Object classes of this one. */
  readonly objects: readonly { readonly program: ProgramName; readonly object: ObjectNamespace }[]
  /** Programs whose dispatch namespaces have this one as their outbound Worker. */
  readonly outbounds: readonly {
    readonly program: ProgramName
    readonly namespace: string
    readonly parameters: readonly string[]
  }[]
}

/** Who depends on whom, by the versions that serve now. Throws a `Refusal` (`no_program`). */
export function findReferences(office: Office, name: ProgramName): References {
  const { record } = heldProgram(office, name)
  const incoming: { program: ProgramName; binding: string }[] = []
  const outgoing: { program: ProgramName; binding: string }[] = []
  const objects: { program: ProgramName; object: ObjectNamespace }[] = []
  const outbounds: References['outbounds'][number][] = []
  for (const { program } of office.ledger.state.programs.values())
    for (const binding of program.rollout.flatMap((part) => part.deployment.bindings)) {
      if (binding.kind === 'dispatch' && binding.outbound?.program === name)
        outbounds.push({ program: program.name, namespace: binding.called, parameters: binding.outbound.parameters })
      if (binding.kind !== 'program' && binding.kind !== 'objects') continue
      const target = binding.program ?? program.name
      if (target === program.name) continue
      if (program.name === name) outgoing.push({ program: target, binding: binding.name })
      if (target !== name) continue
      if (binding.kind === 'program') incoming.push({ program: program.name, binding: binding.name })
      const object = binding.kind === 'objects' && record.objects.find((one) => one.className === binding.className)
      if (object) objects.push({ program: program.name, object })
    }
  return { incoming, outgoing, objects, outbounds }
}

/** Removes a program with its versions, addresses and the data of its objects. Throws a `Refusal` (`referenced`). */
export async function removeProgram(
  office: Office,
  forgetting: Forgetting,
  name: ProgramName,
  { force }: { readonly force: boolean },
): Promise<void> {
  await office.ledger.exclusively([name], async () => {
    const { record } = heldProgram(office, name)
    await forgetting.note(record.objects)
    await office.ledger.commit(() => {
      const { incoming, objects, outbounds } = findReferences(office, name)
      const others = [...new Set([...incoming, ...objects, ...outbounds].map((one) => one.program))]
      if (others.length > 0 && !force)
        throw new Refusal('referenced', `'${name}' cannot be deleted: ${others.join(', ')} bound to it.`)
      return { programs: [{ name, record: undefined }] }
    })
    await office.ledger.dropVersions(name, record.versions).catch(() => {})
    await forgetting.run(office.ledger.state)
  })
}
