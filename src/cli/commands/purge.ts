/** `rimward purge`: drops what the shared cache keeps. */
import type { Command } from 'commander'
import type { PurgeReceipt } from '#/core/tiers.ts'
import { Complaint } from '../complaint.ts'
import { findNode, type NodeOptions } from '../find-node.ts'
import { nodeFlags } from '../node-flags.ts'
import { type Terminal, table } from '../terminal.ts'

interface Flags extends NodeOptions {
  readonly url: string[]
  readonly tag: string[]
  readonly prefix: string[]
  readonly host: string[]
  readonly all?: boolean
  readonly site?: string
  readonly soft?: boolean
  readonly json?: boolean
}

type Receipt = PurgeReceipt & { readonly purged: true }

async function purge(flags: Flags, terminal: Terminal): Promise<void> {
  const { url, tag, prefix, host, all = false, site, soft = false } = flags
  const things = url.length + tag.length + prefix.length + host.length
  if (things === 0 && !all) throw new Complaint('Nothing to purge: give --url, --tag, --prefix, --host or --all.')
  const body = { urls: url, tags: tag, prefixes: prefix, hosts: host, everything: all, soft, ...(site && { site }) }
  const receipt = await findNode(terminal, flags).json<Receipt>('POST', '/rimward/v1/purge', body)
  if (flags.json) return terminal.out(JSON.stringify(receipt, null, 2))
  const { id, acknowledged, away } = receipt
  const where = acknowledged.length === 1 ? '' : ` at ${acknowledged.length} nodes`
  terminal.out(`${soft ? 'Marked as stale' : 'Purged'}${where}. Receipt ${id}`)
  if (acknowledged.length + away.length === 1) return
  const rows = [
    ...acknowledged.map(({ pop, node, ms }) => [pop, node, `after ${ms} ms`]),
    ...away.map(({ pop, node, since }) => [pop, node, `away since ${new Date(since).toISOString()}`]),
  ]
  for (const line of table([['POP', 'NODE', 'PURGED'], ...rows])) terminal.out(line)
  if (away.length > 0) terminal.out('What is away applies it before it says that it is ready again.')
}

export function addPurge(program: Command, terminal: Terminal): void {
  const more = (one: string, all: string[]) => [...all, one]
  nodeFlags(program.command('purge').description('drop what the shared cache keeps'))
    .option('--url <url>', 'one page; may be repeated', more, [])
    .option('--tag <tag>', 'everything with this surrogate key or cache tag; may be repeated', more, [])
    .option('--prefix <host/path>', 'everything below; may be repeated', more, [])
    .option('--host <host>', 'everything of a host; may be repeated', more, [])
    .option('--all', 'everything')
    .option('--site <name>', 'only what this site has stored')
    .option('--soft', 'mark as stale instead, so that it may serve while it is fetched anew')
    .action((flags: Flags) => purge(flags, terminal))
}
