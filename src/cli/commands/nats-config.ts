/** `rimward nats-config`: configurations, certificates and users for the NATS servers of a platform. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Within } from '#/core/pops.ts'
import { describeWithin, parseWithin, sameWithin } from '#/core/residency.ts'
import type { NatsPlan, PlannedServer } from '#/nats-set-up.ts'
import { Complaint } from '../complaint.ts'
import type { KeptFile } from '../nats-config/certificates.ts'
import { parsePops } from '../parse-flags.ts'
import type { Terminal } from '../terminal.ts'

interface NatsConfigFlags {
  readonly servers: string
  readonly country: string
  readonly within: readonly string[]
  readonly leaf?: string
  readonly dir?: string
  readonly on?: string
  readonly store: string
  readonly platform: string
  readonly apply?: boolean
}

export async function natsConfig(flags: NatsConfigFlags, terminal: Terminal, now: () => number): Promise<void> {
  const setUp = await import('#/nats-set-up.ts')
  const { makeCertificates } = await import('../nats-config/certificates.ts')
  const folder = flags.dir === undefined ? undefined : resolve(terminal.folder, flags.dir)
  if (flags.apply && folder === undefined) throw new Complaint('--apply needs --dir: the folder with the keys.')
  const files = folder === undefined ? printed(terminal) : kept(folder)
  const pops = parsePops(flags.country).map(({ id, country }) => {
    if (country === undefined) throw new Complaint(`--country needs the country of ${id}: ${id}:DE, for example.`)
    return { name: id, country }
  })
  const servers = parseServers(flags.servers)
  const leaves = flags.leaf === undefined ? [] : flags.leaf.split(',').map((name) => name.trim())
  const stranger = leaves.find((name) => !pops.some((pop) => pop.name === name))
  if (stranger !== undefined) throw new Complaint(`--leaf names "${stranger}", which --country does not.`)

  async function userOf(name: string): Promise<string> {
    const found = await files.read(`${name}.nkey`)
    if (found !== undefined) return setUp.userOfSeed(found.trim())
    const { seed, user } = setUp.createUserKey()
    await files.write(`${name}.nkey`, `${seed}\n`, { secret: true })
    return user
  }

  const plan: NatsPlan = {
    platform: flags.platform,
    servers,
    pops: await inTurn(pops, async (pop) => ({
      ...pop,
      user: await userOf(`pop-${pop.name}`),
      leaf: leaves.includes(pop.name),
    })),
    places: placesFor(pops, flags.within),
    admin: await userOf('admin'),
    system: await userOf('system'),
    certificates: flags.on ?? folder ?? '/etc/nats',
    store: flags.store,
  }
  await makeCertificates(
    files,
    servers.map(({ host }) => host),
    now(),
  )
  for (const server of servers)
    await files.write(`server-${setUp.nameOf(plan, server)}.conf`, setUp.serverConfiguration(plan, server))
  for (const pop of plan.pops.filter(({ leaf }) => leaf)) {
    const seed = (await files.read(`pop-${pop.name}.nkey`))!.trim()
    await files.write(`leaf-${pop.name}.conf`, setUp.leafConfiguration(plan, pop, seed), { secret: true })
  }
  if (folder !== undefined) tellNext(plan, folder, terminal)
  if (flags.apply) await apply(plan, folder!, terminal)
}

/** Makes the streams on running servers; the nodes' users may not. */
async function apply(plan: NatsPlan, folder: string, terminal: Terminal): Promise<void> {
  const { openNatsFabric } = await import('#/nats-set-up.ts')
  const fabric = await openNatsFabric({
    servers: plan.servers.map(({ host, port }) => `tls://${host}:${port}`),
    credentialsFile: join(folder, 'admin.nkey'),
    tls: { caFile: join(folder, 'ca.crt') },
    platform: plan.platform,
    clock: Date.now,
    limits: defaultLimits,
    report: (error) => terminal.err(`rimward: ${(error as Error).message}`),
    ...(plan.servers.length >= 3 && { replicas: 3 as const }),
    ...serversWithin(plan),
  }).catch((error) => {
    throw error instanceof EdgeError ? new Complaint(error.message) : error
  })
  try {
    for (const within of plan.places) {
      const made = await fabric.place(within).catch((error: Error) => error)
      if (made instanceof Error) terminal.err(`rimward: within ${describeWithin(within)}: ${made.message}`)
    }
    for (const { stream, copies, within } of await fabric.streams())
      terminal.out(`${stream}: ${copies} ${copies === 1 ? 'copy' : 'copies'}, ${describeWithin(within)}`)
  } finally {
    await fabric.close()
  }
}

/** A single server proves no tags; its configuration says where it stands. */
function serversWithin({ servers }: NatsPlan): { serversWithin?: Within } {
  const [only] = servers
  return servers.length === 1 && only?.country !== undefined ? { serversWithin: [only.country] } : {}
}

function tellNext(plan: NatsPlan, folder: string, terminal: Terminal): void {
  const join = plan.servers.map(({ host, port }) => `tls://${host}:${port}`).join(',')
  terminal.out(`Written to ${folder}. Keep ca.key, admin.nkey and system.nkey away from the servers.`)
  terminal.out(`Each server: ca.crt, its own .crt, .key and .conf. Each node: ca.crt and its pop-NAME.nkey.`)
  terminal.out(`Then, once: the same command with --apply. Nodes join with`)
  terminal.out(
    `  RIMWARD_NATS_CREDENTIALS=pop-NAME.nkey RIMWARD_NATS_CA=ca.crt rimward up --join ${join} --pops NAME:COUNTRY`,
  )
}

/** `HOST[:PORT][:COUNTRY]`, several separated by commas. */
export function parseServers(text: string): PlannedServer[] {
  return text.split(',').map((one) => {
    const match = /^([A-Za-z0-9.-]+)(?::(\d{1,5}))?(?::([A-Z]{2}))?$/.exec(one.trim())
    const port = Number(match?.[2] ?? 4222)
    if (match === null || port < 1 || port + 3200 > 65_535)
      throw new Complaint(`--servers takes HOST, HOST:PORT or HOST:PORT:COUNTRY, separated by commas; got "${one}".`)
    const country = match[3] ?? undefined
    return { host: match[1]!, port, ...(country !== undefined && { country }) }
  })
}

/** Each PoP's country by itself, and the sets that were named. */
function placesFor(pops: readonly { readonly country: string }[], sets: readonly string[]): Within[] {
  const named = sets.map((text) => {
    const parsed = parseWithin(text)
    if (!parsed.ok) throw new Complaint(`--within: ${parsed.why}`)
    if (parsed.within === undefined)
      throw new Complaint('--within takes countries; "anywhere" needs no stream of its own.')
    return parsed.within
  })
  const all: Within[] = [...pops.map(({ country }) => [country]), ...named]
  return all.filter((within, i) => all.findIndex((other) => sameWithin(within, other)) === i)
}

async function inTurn<Item, Result>(items: readonly Item[], work: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = []
  for (const item of items) results.push(await work(item))
  return results
}

function kept(folder: string): KeptFile {
  return {
    read: (name) => readFile(join(folder, name), 'utf8').catch(() => undefined),
    async write(name, text, { secret = false } = {}) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const mode = secret ? 0o600 : 0o644
      await writeFile(join(folder, name), text, { mode })
      await chmod(join(folder, name), mode)
    },
  }
}

/** Everything on the terminal, file by file; what was printed is what is read. */
function printed(terminal: Terminal): KeptFile {
  const files = new Map<string, string>()
  return {
    read: async (name) => files.get(name),
    async write(name, text) {
      files.set(name, text)
      terminal.out(`# ---- ${name}\n${text}`)
    },
  }
}

export function addNatsConfig(program: Command, terminal: Terminal, now: () => number): void {
  program
    .command('nats-config')
    .description('configurations, certificates and users for the NATS servers that points of presence share')
    .option('--servers <list>', 'HOST, HOST:PORT or HOST:PORT:COUNTRY of each server, one or three', '127.0.0.1')
    .option('--country <list>', 'the points of presence and their countries, e.g. fra:DE,iad:US', 'local:XX')
    .option('--within <countries>', 'a set that data is to stay in, e.g. DE,FR or eu (again for more)', collect, [])
    .option('--leaf <list>', 'points of presence that get a NATS server of their own beside them')
    .option('--dir <folder>', 'writes the files there (keys with mode 0600) instead of printing them')
    .option('--on <folder>', 'where certificates lie on the servers, if not in --dir')
    .option('--store <folder>', 'where the servers keep the streams', '/var/lib/nats')
    .option('--platform <name>', 'first part of the names of all streams and subjects', 'rimward')
    .option('--apply', 'makes the streams, once the servers run')
    .action((flags: NatsConfigFlags) => natsConfig(flags, terminal, now))
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}
