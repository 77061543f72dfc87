/** `rimward site add|set|list|origins|remove`: plain CDN sites. */
import type { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import { findNode, type NodeOptions } from '../find-node.ts'
import { nodeFlags } from '../node-flags.ts'
import { needsBefore, readErrorPages, readSettings, type SiteFlags, settingsOf } from '../site-settings.ts'
import { type Terminal, table } from '../terminal.ts'

interface Flags extends NodeOptions {
  readonly json?: boolean
}

interface Site {
  readonly name: string
  readonly hostnames: string[]
  readonly routes: string[]
  readonly target: {
    readonly kind: string
    readonly program?: string
    readonly url?: string
    readonly origins?: readonly { readonly url: string }[]
    readonly location?: string
  }
  readonly cache?: object
  readonly answers?: object
}

interface OriginState {
  readonly name: string
  readonly healthy: boolean
  readonly check?: { readonly successes: number; readonly window: number; readonly last?: { readonly why: string } }
  readonly requests: number
  readonly failures: number
}

const path = '/rimward/v1/sites'
const pathOf = (name: string) => `${path}/${encodeURIComponent(name)}`

function say(site: Site, flags: Flags, terminal: Terminal): void {
  const sentence = `Site "${site.name}" answers at ${site.hostnames.join(', ')}.`
  terminal.out(flags.json ? JSON.stringify(site, null, 2) : sentence)
}

async function add(name: string, flags: Flags & SiteFlags, terminal: Terminal): Promise<void> {
  if (flags.origin === undefined && flags.file === undefined)
    throw new Complaint("required option '--origin <url>' not specified")
  const body = { name, ...(await readSettings(flags)), ...settingsOf(flags, {}), ...(await readErrorPages(flags)) }
  say(await findNode(terminal, flags).json<Site>('POST', path, body), flags, terminal)
}

async function set(name: string, flags: Flags & SiteFlags, terminal: Terminal): Promise<void> {
  const node = findNode(terminal, flags)
  const before = needsBefore(flags) ? await node.json<Site>('GET', pathOf(name)) : {}
  const change = { ...(await readSettings(flags)), ...settingsOf(flags, before), ...(await readErrorPages(flags)) }
  say(await node.json<Site>('PATCH', pathOf(name), change), flags, terminal)
}

function destinationOf({ target }: Site): string {
  if (target.program !== undefined) return `program ${target.program}`
  if (target.origins !== undefined) return target.origins.map(({ url }) => url).join(', ')
  return target.url ?? target.location ?? ''
}

async function list(flags: Flags, terminal: Terminal): Promise<void> {
  const { sites } = await findNode(terminal, flags).json<{ sites: Site[] }>('GET', path)
  if (flags.json) return terminal.out(JSON.stringify(sites, null, 2))
  if (sites.length === 0) return terminal.out('There is no site.')
  const rows = sites.map((site) => [site.name, [...site.hostnames, ...site.routes].join(', '), destinationOf(site)])
  for (const line of table([['NAME', 'HOSTS AND ROUTES', 'GOES TO'], ...rows])) terminal.out(line)
}

async function origins(name: string, flags: Flags, terminal: Terminal): Promise<void> {
  const answer = await findNode(terminal, flags).json<{ origins: OriginState[] }>('GET', `${pathOf(name)}/origins`)
  if (flags.json) return terminal.out(JSON.stringify(answer.origins, null, 2))
  const rows = answer.origins.map(({ name: origin, healthy, check, requests, failures }) => [
    origin,
    healthy ? 'healthy' : 'DOWN',
    check === undefined ? 'not checked' : `${check.successes}/${check.window} ${check.last?.why ?? ''}`.trim(),
    `${requests}`,
    `${failures}`,
  ])
  for (const line of table([['ORIGIN', 'STATE', 'CHECKS', 'REQUESTS', 'FAILURES'], ...rows])) terminal.out(line)
}

async function remove(name: string, flags: Flags, terminal: Terminal): Promise<void> {
  await findNode(terminal, flags).json<undefined>('DELETE', pathOf(name))
  terminal.out(flags.json ? JSON.stringify({ removed: name }) : `Site "${name}" is removed.`)
}

const gather = (one: string, all: string[] | undefined): string[] => [...(all ?? []), one]

function settingFlags(command: Command): Command {
  return nodeFlags(command)
    .option('--origin <url>', 'where requests go; may be repeated', gather)
    .option('--host <host>', 'host name at which it answers; may be repeated', gather)
    .option('--choice <how>', 'which origin: weighted-random, hash, client-hash or fallback')
    .option('--health-check <path>', 'path that healthy origins answer with 200')
    .option('--shield <pop>', 'point of presence through which all others fetch; "" for none')
    .option('--default-ttl <seconds>', 'freshness of answers that say nothing themselves')
    .option('--store-set-cookie', 'let the cache store answers with Set-Cookie')
    .option('--error-page <status=file>', 'page for an error such as 503, 4xx or 5xx; may be repeated', gather)
    .option('--https-redirect', 'send cleartext requests to https')
    .option('--no-https-redirect', 'do not (any more)')
    .option('--hsts <seconds>', 'Strict-Transport-Security for so long')
    .option('--compression <on|off>', 'compress answers on their way out')
    .option('--file <json>', 'all settings as a JSON document; flags win over it')
}

export function addSite(program: Command, terminal: Terminal): void {
  const site = program.command('site').description('plain CDN sites: hosts in front of origins')
  settingFlags(site.command('add').argument('<name>').description('add a site')).action((name: string, flags) =>
    add(name, flags, terminal),
  )
  settingFlags(site.command('set').argument('<name>').description('change a site: what is not named stays')).action(
    (name: string, flags) => set(name, flags, terminal),
  )
  nodeFlags(site.command('list').description('list the sites')).action((flags) => list(flags, terminal))
  nodeFlags(site.command('origins').argument('<name>').description('how the origins of a site are doing')).action(
    (name: string, flags) => origins(name, flags, terminal),
  )
  nodeFlags(site.command('remove').argument('<name>').description('remove a site')).action((name: string, flags) =>
    remove(name, flags, terminal),
  )
}
