/** `rimward residency` and `rimward audit`: where data may be, and where it is. */
import type { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import { findNode, type NodeOptions } from '../find-node.ts'
import { nodeFlags } from '../node-flags.ts'
import { type Terminal, table } from '../terminal.ts'

interface Flags extends NodeOptions {
  readonly json?: boolean
}

interface Placement {
  readonly kind: string
  readonly id: string
  readonly name: string
  readonly countries: string
  readonly exists: boolean
}

interface Report {
  readonly holdings: readonly {
    readonly node: string
    readonly countries: readonly string[]
    readonly kind: string
    readonly id: string
    readonly place: string
    readonly count: number
    readonly bytes: number
    readonly within?: readonly string[]
    readonly allowed: boolean
  }[]
  readonly streams?: readonly {
    readonly stream: string
    readonly within?: readonly string[]
    readonly tags: readonly string[]
    readonly servers: readonly { readonly name: string }[]
    readonly bytes: number
    readonly buckets: readonly { readonly records: number }[]
  }[]
  readonly unread: readonly string[]
  readonly clean: boolean
}

const path = '/rimward/v1/residency'

async function list(flags: Flags, terminal: Terminal): Promise<void> {
  const { residency } = await findNode(terminal, flags).json<{ residency: Placement[] }>('GET', path)
  if (flags.json) return terminal.out(JSON.stringify(residency, null, 2))
  if (residency.length === 0) return terminal.out('Everything may be anywhere.')
  const rows = residency.map((one) => [one.kind, one.exists ? one.name : `${one.name} (not there)`, one.countries])
  for (const line of table([['KIND', 'NAME', 'STAYS IN'], ...rows])) terminal.out(line)
}

async function residency(
  name: string | undefined,
  countries: readonly string[],
  flags: Flags,
  terminal: Terminal,
): Promise<void> {
  if (name === undefined) return list(flags, terminal)
  if (countries.length === 0)
    throw new Complaint('residency takes NAME and COUNTRIES, such as "rimward residency shop DE,FR"; or neither.')
  const body = { name, within: countries.join(',') }
  const set = await findNode(terminal, flags).json<Placement>('PUT', path, body)
  if (flags.json) return terminal.out(JSON.stringify(set, null, 2))
  const what = `${set.kind === 'log' ? 'The log' : `The ${set.kind} "${set.name}"`}`
  terminal.out(set.countries === 'anywhere' ? `${what} may be anywhere.` : `${what} stays in ${set.countries}.`)
}

/** A table of what lies where; exit status 1 where something may not. */
async function audit(flags: Flags, terminal: Terminal): Promise<void> {
  const report = await findNode(terminal, flags).json<Report>('GET', '/rimward/v1/audit')
  const wrong = report.holdings.filter(({ allowed }) => !allowed)
  if (flags.json) terminal.out(JSON.stringify(report, null, 2))
  else {
    const rows = report.holdings.map((one) => [
      `${one.kind} ${one.id}`,
      `${one.node} (${one.countries.join(',')})`,
      one.place,
      `${one.count}`,
      `${one.bytes}`,
      one.within?.join(',') ?? 'anywhere',
      one.allowed ? '' : 'MUST NOT BE THERE',
    ])
    for (const line of table([['WHAT', 'NODE', 'PLACE', 'ITEMS', 'BYTES', 'STAYS IN', ''], ...rows])) terminal.out(line)
    for (const line of streamLines(report.streams ?? [])) terminal.out(line)
    for (const line of report.unread) terminal.out(`Not looked at: ${line}`)
    if (wrong.length === 0) terminal.out('Nothing lies where it may not.')
  }
  if (wrong.length > 0) {
    const places = wrong.map((one) => `${one.kind} ${one.id} in ${one.place} at ${one.node}`)
    throw new Complaint(`${wrong.length} of these must not be where they are: ${places.join('; ')}.`)
  }
}

function streamLines(streams: NonNullable<Report['streams']>): readonly string[] {
  if (streams.length === 0) return []
  const rows = streams.map(({ stream, servers, tags, buckets, bytes, within }) => [
    stream,
    servers.map(({ name }) => name).join(',') || 'unknown',
    tags.join(',') || 'none',
    `${buckets.reduce((sum, { records }) => sum + records, 0)}`,
    `${bytes}`,
    within?.join(',') ?? 'anywhere',
  ])
  return ['', ...table([['STREAM OF NATS', 'SERVERS', 'TAGS', 'RECORDS', 'BYTES', 'STAYS IN'], ...rows]), '']
}

export function addResidency(program: Command, terminal: Terminal): void {
  nodeFlags(
    program
      .command('residency')
      .argument('[name]', 'site, program, service or store, by name or id; KIND:NAME where several have the name')
      .argument('[countries...]', 'codes such as DE,FR, a group (eu, eea, fedramp), or "anywhere"')
      .description('keep a site, program, store or the log in its countries; without a name: list'),
  ).action((name, countries, flags) => residency(name, countries, flags, terminal))
  nodeFlags(
    program
      .command('audit')
      .description('where every byte lies, by looking at the disks; exit status 1 where one may not'),
  ).action((flags) => audit(flags, terminal))
}
