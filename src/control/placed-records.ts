/**
 * Records of sites, services, their tables and resources with secrets that stay in countries: what every node must know of them
 * (names, hosts, what answers) stays in the record; origins with their keys, rules, tables, lists and settings lie in a blob there,
 * which the record names.
 * A control plane with a node inside works with the whole record, any other one with what is left.
 */
import { withinOfBlob } from '#/core/blob-names.ts'
import { elsewhere, elsewherePool } from '#/core/elsewhere.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Within } from '#/core/pops.ts'
import type { Blobs } from '#/core/ports.ts'
import { sameWithin } from '#/core/residency.ts'
import { isSecretKind, type Resource } from '#/core/resources.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import type { Change, State } from './fold.ts'
import { type HeldPlacements, keyOf, type PlacedKind } from './placements.ts'
import { parseRecord, type SiteRecord } from './records.ts'
import { parseResource } from './resources.ts'
import type { ProgramDesign } from './services/service-program.ts'
import { parseService, type ServiceDesign, type ServiceRecord, type TableRecord } from './services/service-records.ts'

interface Records {
  readonly site: SiteRecord
  readonly service: ServiceRecord
  readonly table: TableRecord
  readonly resource: Resource
}
type Part = keyof Records
type RecordOf<Kind extends Part> = Records[Kind]

/** What every node may know, and what not. */
interface Halves {
  readonly open: object
  readonly hidden: object
}

export interface PlacedRecords {
  /** As every node may read it; the same record where it may be anywhere, or is only what is left of one. */
  pack<Kind extends Part>(kind: Kind, record: RecordOf<Kind>, within: Within | undefined): Promise<RecordOf<Kind>>
  /** The same for all that a change holds; `state` is that after it. */
  packChange(change: Change, state: Pick<State, 'placements'>): Promise<Change>
  /** The whole record, or the same where this process may not read it. Throws `BlobIsLate`. */
  unpack<Kind extends Part>(kind: Kind, record: RecordOf<Kind>): Promise<RecordOf<Kind>>
  unpackChange(change: Change): Promise<Change>
}

/** The bytes of a record have not arrived yet where they should be. */
export class BlobIsLate extends Error {
  constructor(blob: BlobHash) {
    super(`what stays in ${withinOfBlob(blob)?.join(', ')} has not arrived yet (blob ${blob})`)
    this.name = 'BlobIsLate'
  }
}

export function createPlacedRecords({ blobs }: { readonly blobs: Pick<Blobs, 'get' | 'put'> }): PlacedRecords {
  /** Of a whole record: how it was packed last. */
  const packed = new WeakMap<object, { readonly within: Within; readonly record: { readonly held?: BlobHash } }>()

  const pack: PlacedRecords['pack'] = async (kind, record, within) => {
    if (record.held !== undefined || within === undefined) return record
    const known = packed.get(record)
    if (known !== undefined && sameWithin(known.within, within)) return known.record as typeof record
    const { open, hidden } = halve(kind, record)
    const { hash } = await blobs.put(Buffer.from(JSON.stringify(hidden)), { within })
    const made = { ...open, held: hash } as typeof record
    packed.set(record, { within, record: made })
    return made
  }

  const unpack: PlacedRecords['unpack'] = async (kind, record) => {
    const { held, ...open } = record
    if (held === undefined) return record
    const bytes = await blobs.get(held).catch((error) => {
      if (error instanceof EdgeError && error.code === 'not_here') return null
      throw error
    })
    if (bytes === null) return record
    if (bytes === undefined) throw new BlobIsLate(held)
    const whole = { ...open, ...(JSON.parse(Buffer.from(bytes).toString('utf8')) as object) }
    const read = parse(kind, whole) as typeof record
    packed.set(read, { within: withinOfBlob(held)!, record })
    return read
  }

  return {
    pack,
    unpack,
    async packChange(change, { placements }) {
      return eachRecord(change, (kind, record, owner) =>
        pack(kind, record, withinOfRecord(placements, kind, record, owner)),
      )
    },
    unpackChange: (change) => eachRecord(change, (kind, record) => unpack(kind, record)),
  }
}

/** The same change where it holds no such records. */
async function eachRecord(
  change: Change,
  make: <Kind extends Part>(kind: Kind, record: RecordOf<Kind>, owner: string) => Promise<RecordOf<Kind>>,
): Promise<Change> {
  const { sites, services, resources } = change
  if (sites === undefined && services === undefined && resources === undefined) return change
  return {
    ...change,
    ...(resources && {
      resources: await inTurn(resources, async ({ kind, id, record }) => ({
        ...{ kind, id },
        record: record && (await make('resource', record, id)),
      })),
    }),
    ...(sites && {
      sites: await inTurn(sites, async ({ name, record }) => ({
        name,
        record: record && (await make('site', record, name)),
      })),
    }),
    ...(services && {
      services: await inTurn(services, async ({ record, tables, ...rest }) => ({
        ...rest,
        ...(record && { record: await make('service', record, rest.id) }),
        ...(tables && {
          tables: await inTurn(tables, async (table) => ({
            id: table.id,
            record: table.record && (await make('table', table.record, rest.id)),
          })),
        }),
      })),
    }),
  }
}

/** Where the other half of a record may lie; `owner`: name or id of the site, service or resource. Resources without secrets have none. */
export function withinOfRecord<Kind extends Part>(
  placements: HeldPlacements,
  part: Kind,
  record: RecordOf<Kind>,
  owner: string,
): Within | undefined {
  const of = part === 'resource' ? (record as Resource).kind : part === 'site' ? 'site' : 'service'
  if (part === 'resource' && !isSecretKind(of)) return undefined
  return placements.get(keyOf({ kind: of as PlacedKind, id: owner }))?.record.within
}

function parse(kind: Part, whole: object): object {
  if (kind === 'resource') return parseResource(whole)
  return kind === 'site' ? parseRecord(kind, whole) : parseService(kind, whole)
}

async function inTurn<From, To>(all: readonly From[], make: (one: From) => Promise<To>): Promise<To[]> {
  const made: To[] = []
  for (const one of all) made.push(await make(one))
  return made
}

function halve<Kind extends Part>(kind: Kind, record: RecordOf<Kind>): Halves {
  if (kind === 'site') return halveSite(record as SiteRecord)
  if (kind === 'resource') return halveResource(record as Resource)
  return kind === 'service' ? halveService(record as ServiceRecord) : halveTable(record as TableRecord)
}

function halveSite({ name, createdAt, hosts, shield, ...hidden }: SiteRecord): Halves {
  return { open: { name, createdAt, hosts, ...(shield !== undefined && { shield }), origin: elsewhere }, hidden }
}

function halveResource({ settings, ...open }: Resource): Halves {
  return { open: { ...open, settings: {} }, hidden: { settings } }
}

function halveTable({ entries, ...open }: TableRecord): Halves {
  return { open: { ...open, entries: [] }, hidden: { entries } }
}

function halveService({ live, program, staged, ...open }: ServiceRecord): Halves {
  const hidden = { ...(live && { live }), ...(program && { program }), ...(staged && { staged }) }
  return {
    open: {
      ...open,
      ...(live && { live: openDesign(live) }),
      ...(program && { program: openProgram(program) }),
      ...(staged && { staged: { ...staged, program: openProgram(staged.program) } }),
    },
    hidden,
  }
}

function openDesign({ hostnames }: ServiceDesign): ServiceDesign {
  const none = { requests: [], headers: [], answers: [], caching: [], compression: [] }
  return { hostnames, rules: { ...none, pools: [{ name: 'elsewhere', pool: elsewherePool }] }, tables: {}, lists: {} }
}

/** Which stores it opens stays: where it may be is checked by them. */
function openProgram(program: ProgramDesign): ProgramDesign {
  return { ...program, backends: [], logs: [], tables: {} }
}
