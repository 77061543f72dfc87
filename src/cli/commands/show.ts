/** `rimward status` and `rimward programs`: what runs here. */
import type { Command } from 'commander'
import { findNode, type NodeOptions } from '../find-node.ts'
import { nodeFlags } from '../node-flags.ts'
import { type Terminal, table } from '../terminal.ts'

interface ShowFlags extends NodeOptions {
  readonly json?: boolean
}

interface Status {
  readonly version: string
  readonly pop: string
  readonly startedAt: string
  readonly accountId: string
  readonly addresses: Record<string, string>
  readonly programs: number
  readonly sites: number
  readonly checks: { name: string; ready: boolean; reason?: string }[]
}

interface Programs {
  readonly programs: {
    name: string
    versions: { number: number; percent: number; createdAt: string }[]
    bindings: { name: string }[]
    hosts: string[]
  }[]
}

async function status(flags: ShowFlags, terminal: Terminal): Promise<void> {
  const state = await findNode(terminal, flags).json<Status>('GET', '/rimward/v1/status')
  if (flags.json) return terminal.out(JSON.stringify(state, null, 2))
  const rows = [
    ['version', state.version],
    ['PoP', state.pop],
    ['since', state.startedAt],
    ['account', state.accountId],
    ...Object.entries(state.addresses),
    ['programs', String(state.programs)],
    ['sites', String(state.sites)],
    ...state.checks.map((check) => [
      check.name,
      check.ready ? 'ready' : `not ready: ${check.reason ?? 'no reason given'}`,
    ]),
  ]
  for (const line of table(rows)) terminal.out(line)
}

async function programs(flags: ShowFlags, terminal: Terminal): Promise<void> {
  const list = await findNode(terminal, flags).json<Programs>('GET', '/rimward/v1/programs')
  if (flags.json) return terminal.out(JSON.stringify(list.programs, null, 2))
  if (list.programs.length === 0) return terminal.out('No program is deployed.')
  const serving = (versions: Programs['programs'][number]['versions']): string =>
    versions.map((one) => `v${one.number}${one.percent < 100 ? ` ${one.percent} %` : ''}`).join(', ') || '-'
  const rows = list.programs.map((one) => [
    one.name,
    serving(one.versions),
    one.bindings.map((binding) => binding.name).join(',') || '-',
    one.hosts.join(', '),
  ])
  for (const line of table([['NAME', 'SERVING', 'BINDINGS', 'ANSWERS AT'], ...rows])) terminal.out(line)
}

export function addShow(program: Command, terminal: Terminal): void {
  nodeFlags(program.command('status').description('show the state of the running node')).action((flags: ShowFlags) =>
    status(flags, terminal),
  )
  nodeFlags(program.command('programs').description('list what is deployed')).action((flags: ShowFlags) =>
    programs(flags, terminal),
  )
}
