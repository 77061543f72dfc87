/** `rimward site add|list|remove`: plain CDN sites. */
import type { Command } from 'commander'
import { findNode, type NodeOptions } from '../find-node.ts'
import { nodeFlags } from '../node-flags.ts'
import { type Terminal, table } from '../terminal.ts'

interface Flags extends NodeOptions {
  readonly json?: boolean
}

interface Site {
  readonly name: string
  readonly hostnames: string[]
  readonly routes: string[]
  readonly target: { kind: string; program?: string; url?: string; location?: string }
}

const path = '/rimward/v1/sites'

interface AddFlags extends Flags {
  readonly origin: string
  readonly host: readonly string[]
  readonly defaultTtl?: string
  readonly storeSetCookie?: boolean
}

/** The node says what is wrong with a value, so a number that is none is sent as it was written. */
function cacheOf({ defaultTtl, storeSetCookie }: Pick<AddFlags, 'defaultTtl' | 'storeSetCookie'>): object | undefined {
  if (defaultTtl === undefined && storeSetCookie === undefined) return undefined
  const ttl = defaultTtl !== undefined && /^\d+$/.test(defaultTtl) ? Number(defaultTtl) : defaultTtl
  return { ...(ttl !== undefined && { defaultTtl: ttl }), ...(storeSetCookie && { storeSetCookie }) }
}

async function add(name: string, flags: AddFlags, terminal: Terminal): Promise<void> {
  const cache = cacheOf(flags)
  const hosts = flags.host.map((host) => host.toLowerCase())
  const body = { name, origin: flags.origin, hosts, ...(cache !== undefined && { cache }) }
  const site = await findNode(terminal, flags).json<Site>('POST', path, body)
  if (flags.json) return terminal.out(JSON.stringify(site, null, 2))
  terminal.out(`Site "${site.name}" answers at ${site.hostnames.join(', ')}.`)
}

async function list(flags: Flags, terminal: Terminal): Promise<void> {
  const { sites } = await findNode(terminal, flags).json<{ sites: Site[] }>('GET', path)
  if (flags.json) return terminal.out(JSON.stringify(sites, null, 2))
  if (sites.length === 0) return terminal.out('There is no site.')
  const rows = sites.map((site) => [
    site.name,
    [...site.hostnames, ...site.routes].join(', '),
    site.target.program !== undefined
      ? `program ${site.target.program}`
      : (site.target.url ?? site.target.location ?? ''),
  ])
  for (const line of table([['NAME', 'HOSTS AND ROUTES', 'GOES TO'], ...rows])) terminal.out(line)
}

async function remove(name: string, flags: Flags, terminal: Terminal): Promise<void> {
  await findNode(terminal, flags).json<undefined>('DELETE', `${path}/${encodeURIComponent(name)}`)
  terminal.out(flags.json ? JSON.stringify({ removed: name }) : `Site "${name}" is removed.`)
}

export function addSite(program: Command, terminal: Terminal): void {
  const site = program.command('site').description('plain CDN sites: hosts in front of an origin')
  nodeFlags(site.command('add').argument('<name>').description('add a site'))
    .requiredOption('--origin <url>', 'where requests go')
    .option(
      '--host <host>',
      'host name at which it answers; may be repeated',
      (one: string, all: string[]) => [...all, one],
      [],
    )
    .option('--default-ttl <seconds>', 'freshness of answers that say nothing themselves')
    .option('--store-set-cookie', 'let the cache store answers with Set-Cookie')
    .action((name: string, flags) => add(name, flags, terminal))
  nodeFlags(site.command('list').description('list the sites')).action((flags) => list(flags, terminal))
  nodeFlags(site.command('remove').argument('<name>').description('remove a site')).action((name: string, flags) =>
    remove(name, flags, terminal),
  )
}
