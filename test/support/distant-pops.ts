/**
 * Three points of presence in processes of their own, each with a NATS server beside it, and between them lines as long as
 * between continents: round trips of 80 ms (fra, iad) and 160 ms (to nrt), for the nodes as for the servers.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defaultLimits } from '#/core/limits.ts'
import { openNatsFabric } from '#/fabric/nats/fabric.ts'
import { type ClusterServer, freePorts, newestServer, startCluster, whenReady } from '#/fabric/nats/server.fixture.ts'
import { type RelaysApart, startRelaysApart } from './relays-apart.ts'

export const popNames = ['fra', 'iad', 'nrt'] as const
export type PopName = (typeof popNames)[number]

const countries = { fra: 'DE', iad: 'US', nrt: 'JP' } as const
/** Of a round trip, ms. */
export const roundTripOf = (one: PopName, other: PopName): number => (one === 'nrt' || other === 'nrt' ? 160 : 80)

/** What a process is told. */
export interface PopWish {
  readonly pop: PopName
  readonly country: string
  readonly data: string
  readonly token: string
  /** Its own server first. */
  readonly nats: readonly string[]
  /** Port where it listens for other nodes. */
  readonly mesh: number
  /** Ports that lead to the others. */
  readonly relays: Readonly<Record<string, number>>
}

export interface DistantPop {
  readonly name: PopName
  readonly http: string
  readonly api: string
  readonly process: ChildProcess
}

export interface DistantPops {
  readonly pops: Readonly<Record<PopName, DistantPop>>
  readonly servers: ClusterServer[]
  readonly relays: RelaysApart
  readonly token: string
  readonly accountId: string
  /** Cuts a place off from the two others: its node and its NATS server, or the server alone, from the nodes elsewhere too. */
  cut(name: PopName, what?: 'server'): Promise<void>
  heal(name: PopName, what?: 'server'): Promise<void>
}

export interface Stoppable {
  after(stop: () => unknown): void
}

type Line = readonly [from: PopName, to: PopName]
const lines: readonly Line[] = popNames.flatMap((from) =>
  popNames.filter((to) => to !== from).map((to) => [from, to] as const),
)

interface Lines {
  readonly ports: ReadonlyMap<string, number>
  readonly port: (from: PopName, to: PopName) => number
}

async function openLines(relays: RelaysApart): Promise<Lines> {
  const opened = lines.map(async ([from, to]) => {
    return [`${from} ${to}`, await relays.open(roundTripOf(from, to) / 2)] as const
  })
  const ports = new Map(await Promise.all(opened))
  return { ports, port: (from, to) => ports.get(`${from} ${to}`)! }
}

/** Its children end with `t`. */
export async function startDistantPops(t: Stoppable): Promise<DistantPops> {
  const relays = startRelaysApart()
  t.after(() => relays.close())
  const meshLines = await openLines(relays)
  const [routeLines, clientLines] = [await openLines(relays), await openLines(relays)]
  const aimed: Promise<void>[] = []
  const servers = await startCluster(t, {
    binary: newestServer(),
    // Nobody goes around a line that was cut.
    noGossip: true,
    route(from, to, ports) {
      const relay = routeLines.port(popNames[from]!, popNames[to]!)
      aimed.push(relays.aim(relay, ports[to]!))
      return relay
    },
  })
  await Promise.all(aimed)
  // They have elected their leaders.
  for (const { url } of servers) {
    const open = () => openNatsFabric({ servers: [url], clock: Date.now, limits: defaultLimits, replicas: 3 })
    await (await whenReady(open)).close()
  }
  const meshPorts = await freePorts(popNames.length)
  const aiming = lines.flatMap(([from, to]) => {
    const place = popNames.indexOf(to)
    return [
      relays.aim(meshLines.port(from, to), meshPorts[place]!),
      relays.aim(clientLines.port(from, to), servers[place]!.port),
    ]
  })
  await Promise.all(aiming)
  const token = 'the-token-of-three-places'
  const pops = {} as Record<PopName, DistantPop>
  let accountId = ''
  for (const [index, name] of popNames.entries()) {
    const others = popNames.filter((other) => other !== name)
    const folder = await mkdtemp(join(tmpdir(), `rimward-${name}-`))
    const wish: PopWish = {
      pop: name,
      country: countries[name],
      data: folder,
      token,
      nats: [servers[index]!.url, ...others.map((other) => `nats://127.0.0.1:${clientLines.port(name, other)}`)],
      mesh: meshPorts[index]!,
      relays: Object.fromEntries(others.map((other) => [other, meshLines.port(name, other)])),
    }
    const { started, ...pop } = await startPop(t, wish, folder)
    accountId = started.accountId
    pops[name] = pop
  }
  const touching = (name: PopName, what?: 'server') =>
    lines
      .filter((line) => line.includes(name))
      .flatMap(([from, to]) => [
        routeLines.port(from, to),
        // A node reaches other servers still when its own is cut off.
        ...(what === 'server' && from === name ? [] : [clientLines.port(from, to)]),
        ...(what === 'server' ? [] : [meshLines.port(from, to)]),
      ])
  return {
    pops,
    servers,
    relays,
    token,
    accountId,
    cut: (name, what) => relays.cut(touching(name, what)),
    heal: (name, what) => relays.heal(touching(name, what)),
  }
}

interface Started {
  readonly addresses: { readonly http: string; readonly api: string }
  readonly accountId: string
}

const script = fileURLToPath(new URL('pop-process.ts', import.meta.url))

async function startPop(t: Stoppable, wish: PopWish, folder: string) {
  const flags = ['--disable-warning=ExperimentalWarning', script, JSON.stringify(wish)]
  const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'pipe'] })
  const gone = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGCONT')
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await gone
    clearTimeout(timer)
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  let output = ''
  const { promise, resolve, reject } = Promise.withResolvers<Started>()
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk
      const line = /^\{"addresses".*\}$/m.exec(output)
      if (line !== null) resolve(JSON.parse(line[0]) as Started)
    })
  gone.then(() => reject(new Error(`The point of presence ${wish.pop} ended:\n${output}`)))
  const started = await promise
  t.after(() => {
    if (process.env.PROOF_DEBUG) console.error(output)
  })
  return { started, name: wish.pop, ...started.addresses, process: child }
}
