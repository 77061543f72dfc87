/**
 * Whose origins, rules, tables and secrets lie in databases of a node: records of sites, services and resources that hold them
 * themselves, instead of naming a blob in their countries.
 */
import { elsewhere } from '#/core/elsewhere.ts'
import type { Owner } from '#/core/holdings.ts'
import type { Within } from '#/core/pops.ts'
import { isSecretKind } from '#/core/resources.ts'
import { siteNameOf } from '#/core/service-site-name.ts'
import type { Bytes } from '#/core/units.ts'
import type { Tally } from './tally.ts'

/** A record without one of these has nothing that stays anywhere. */
interface Held {
  readonly name?: string
  readonly held?: string
  readonly live?: unknown
  readonly program?: unknown
  readonly entries?: readonly unknown[]
  readonly settings?: unknown
}

interface ServedSite {
  readonly target?: { readonly kind?: string; readonly url?: string }
}

interface Change {
  readonly sites?: readonly { readonly name: string; readonly record: Held | null }[]
  readonly services?: readonly {
    readonly id: string
    readonly record?: Held | null
    readonly tables?: readonly { readonly record: Held | null }[]
  }[]
  readonly resources?: readonly { readonly kind: string; readonly id: string; readonly record: Held | null }[]
}

export interface RecordTally {
  /** `within`: countries in the bucket's name. */
  record(bucket: string, key: string, parsed: unknown, place: string, within?: Within): void
  /** Tells what services are called, once all records were seen. */
  finish(): void
}

export const recordBuckets = ['sites', 'services', 'service-tables', 'service-versions', 'resources'] as const

export function createRecordTally(tally: Tally): RecordTally {
  const names = new Map<string, string>()
  const found: {
    readonly service: string
    readonly bytes: Bytes
    readonly place: string
    readonly within: Within | undefined
  }[] = []
  const sizeOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))

  function seeSite(name: string, record: Held | null, place: string): void {
    if (record !== null && record.held === undefined) tally.add({ kind: 'site', id: name }, place, sizeOf(record))
  }

  function seeService(service: string, record: Held | null, place: string): void {
    if (record?.name !== undefined) names.set(service, siteNameOf(record.name))
    const holds = record !== null && (record.live ?? record.program) !== undefined
    if (holds && record.held === undefined) found.push({ service, bytes: sizeOf(record), place, within: undefined })
  }

  function seeTable(service: string, record: Held | null, place: string): void {
    const holds = record !== null && record.held === undefined && (record.entries ?? []).length > 0
    if (holds) found.push({ service, bytes: sizeOf(record), place, within: undefined })
  }

  function seeResource(kind: string, id: string, record: Held | null, place: string): void {
    if (record === null || !isSecretKind(kind)) return
    const holds = record.held === undefined && Object.keys(record.settings ?? {}).length > 0
    if (holds) tally.add({ kind: 'store', id }, place, sizeOf(record.settings))
  }

  function seeChange({ sites = [], services = [], resources = [] }: Change, place: string): void {
    for (const { kind, id, record } of resources) seeResource(kind, id, record, place)
    for (const { name, record } of sites) seeSite(name, record, place)
    for (const { id, record = null, tables = [] } of services) {
      seeService(id, record, place)
      for (const table of tables) seeTable(id, table.record, place)
    }
  }

  return {
    record(bucket, key, parsed, place, within) {
      if (typeof parsed !== 'object' || parsed === null) return
      const [first] = key.split('/') as [string]
      if (bucket === 'sites') seeSite(key, parsed, place)
      else if (bucket === 'services') seeService(key, parsed, place)
      else if (bucket === 'resources' || bucket === 'resource')
        seeResource(first, key.slice(first.length + 1), parsed, place)
      else if (bucket === 'service-tables') seeTable(first, parsed, place)
      else if (bucket === 'service-versions') found.push({ service: first, bytes: sizeOf(parsed), place, within })
      else if (bucket === 'control-log') seeChange((parsed as { change?: Change }).change ?? {}, place)
      else if (bucket === 'site') {
        const { target } = parsed as ServedSite
        if (target?.kind === 'origin' && target.url !== elsewhere)
          tally.add({ kind: 'site', id: key }, place, sizeOf(parsed))
      }
    },
    finish() {
      for (const { service, bytes, place, within } of found) {
        const owner: Owner = { kind: 'site', id: names.get(service) ?? `(service ${service})` }
        tally.add(owner, place, bytes, within)
      }
    },
  }
}
