/**
 * Many points of presence that follow one configuration, without engines and listeners, in one process; printed as JSON:
 *
 *   node --expose-gc --max-old-space-size=16000 bench/scale-process.ts SITES POPS WHOLE CHANGES
 *
 * Each follower is what a node has: its own fold of the log of changes, its Snapshot, its tables of hosts, origins and countries, and
 * its copy of what it serves on disk. WHOLE more, measured apart, also have the node's copy of what is shared.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eraseAway } from '../src/audit/erase-away.ts'
import { createControl } from '../src/control/control.ts'
import { createFollower } from '../src/control/follower.ts'
import { openLedger } from '../src/control/ledger.ts'
import type { SiteRecord } from '../src/control/records.ts'
import { onlyHere } from '../src/core/keep-inside.ts'
import { defaultLimits } from '../src/core/limits.ts'
import type { Fabric, Seal } from '../src/core/ports.ts'
import type { Sealed, Snapshot } from '../src/core/snapshot.ts'
import { prepareSites } from '../src/edge/find-site.ts'
import { openCopiedFabric } from '../src/fabric/copied/fabric.ts'
import { createPlacedWords } from '../src/fabric/placed/placed-words.ts'
import { openSqliteFabric } from '../src/fabric/sqlite/fabric.ts'
import { createHealthChecks } from '../src/origin/health-checks.ts'

const [sites, pops, whole, changes] = process.argv.slice(2).map(Number) as [number, number, number, number]
const limits = defaultLimits
const clock = Date.now
const country = 'DE'
const folder = mkdtempSync(join(tmpdir(), 'bench-scale-'))
const fabric = await openSqliteFabric({ folder: join(folder, 'fabric'), clock, limits })
const log = (message: string, error: unknown): void => console.error(message, error)
const seal: Seal = { seal: (text) => text as Sealed, open: (sealed) => sealed }

let bytesPut = 0
/** Counts keys and values: what a fabric has to carry to each of those that watch it. */
const counted: Fabric = {
  ...fabric,
  bucket(name, how) {
    const bucket = fabric.bucket(name, how)
    return {
      ...bucket,
      put(key, value, expected) {
        bytesPut += Buffer.byteLength(key) + value.byteLength
        return bucket.put(key, value, expected)
      },
    }
  },
}

/** A site with an origin, and a host besides its own. */
const nameOf = (index: number) => `shop-${index}`
const hostsOf = (index: number) => [`www.${nameOf(index)}.example`, `${nameOf(index)}.example`]
const originOf = (index: number, version: number) => `https://origin-${version}.${nameOf(index)}.example`

function siteOf(index: number): SiteRecord {
  const [name, url] = [nameOf(index), originOf(index, 0)]
  const pool = { origins: [{ name: 'origin', url, weight: 100 }], choice: 'fallback' } as const
  return { name, createdAt: 1_795_415_284_000, origin: url, hosts: hostsOf(index), pool }
}

/** As `pop.ts` makes a node ready for a Snapshot, but for engines and stores. */
function createServe(at: string): (snapshot: Snapshot) => Promise<void> {
  let served: Snapshot = { revision: 0, sites: [], programs: new Map() }
  const fetch = () => Promise.reject(new Error('nothing is checked'))
  const health = createHealthChecks({ egress: { fetch }, limits, clock, random: Math.random })
  const words = createPlacedWords({ fabric, seal, limits, country, withinOf: () => undefined })
  const erase = eraseAway({ folder: at, country, store: { removeWhere: async () => 0 }, flushLog: async () => {} })
  return async (snapshot) => {
    await words.learn(snapshot)
    prepareSites(snapshot, served)
    served = snapshot
    const here = onlyHere(snapshot, country)
    health.adopt(here.sites, here.programs)
    await erase(snapshot)
  }
}

interface Node {
  /** Resolves when it serves the next revision, and has it on disk. */
  next(): Promise<void>
  close(): Promise<void>
}

async function openNode(name: string, reached: Fabric): Promise<Node> {
  const at = join(folder, name)
  const serve = createServe(at)
  const said = { country, release: 'bench', limits, clock, log: () => {} }
  const follower = createFollower({ folder: at, fabric: reached, serve, ...said })
  let tell = (): void => {}
  const ledger = await openLedger({
    ...{ fabric: reached, hostnameSuffix: 'localhost', limits, clock, log, by: name, adopt: serve },
    async follow(snapshot) {
      await follower.follow(snapshot)
      await follower.kept()
      tell()
    },
  })
  return {
    next: () =>
      new Promise((resolve) => {
        tell = resolve
      }),
    async close() {
      ledger.close()
      await follower.close()
    },
  }
}

async function openWhole(name: string): Promise<Node> {
  const copy = await openSqliteFabric({ folder: join(folder, `${name}-copy`), clock, limits })
  const reached = await openCopiedFabric({ shared: { ...fabric, close: async () => {} }, copy })
  const node = await openNode(name, reached)
  return {
    next: node.next,
    async close() {
      await node.close()
      await reached.close()
    },
  }
}

async function seed(): Promise<void> {
  const quiet = { adopt: async () => {}, follow: async () => {} }
  const ledger = await openLedger({ fabric, hostnameSuffix: 'localhost', limits, clock, log, by: 'seed', ...quiet })
  for (let from = 0; from < sites; from += 200) {
    const records = Array.from({ length: Math.min(200, sites - from) }, (_, index) => siteOf(from + index))
    await ledger.commit(() => ({ sites: records.map((record) => ({ name: record.name, record })) }))
  }
  await ledger.recorded()
  // As on a platform that is not new: the log has what changed lately, the records have all.
  await ledger.forgetChanges()
  ledger.close()
}

/** Of all threads, in milliseconds for each change. */
async function cpuOf(work: () => Promise<void>): Promise<number> {
  for (let count = 0; count < 10; count++) await work()
  const before = process.cpuUsage()
  for (let count = 0; count < changes; count++) await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000 / changes
}

function heap(): number {
  globalThis.gc!()
  return process.memoryUsage().heapUsed
}

await seed()
const adopt = createServe(join(folder, 'control'))
const engine = { prove: async () => ({ ok: false, message: '' }) as const, forget: async () => {} }
const control = await createControl({ fabric: counted, seal, engine, limits, clock, adopt, by: 'control', log })

let version = 0
/** As the API changes a site: its form, its address, its name and its checks are checked, too. */
async function changeOne(): Promise<void> {
  const index = (++version * 7919) % sites
  await control.siteChange(nameOf(index), {
    origins: [{ url: originOf(index, version), weight: 100 }],
    hosts: hostsOf(index),
  })
}

/** Beside what the control plane takes, at each of these; they are closed again. */
async function cpuAt(nodes: readonly Node[], controlCpuMs: number): Promise<number> {
  const everywhere = async () => {
    const served = Promise.all(nodes.map((node) => node.next()))
    await changeOne()
    await served
  }
  const all = await cpuOf(everywhere)
  for (const node of nodes) await node.close()
  return (all - controlCpuMs) / nodes.length
}

async function openAll(count: number, open: (index: number) => Promise<Node>): Promise<readonly Node[]> {
  const nodes: Node[] = []
  for (let index = 0; index < count; index++) nodes.push(await open(index))
  return nodes
}

// The control plane by itself, with one node that serves.
await cpuOf(changeOne)
bytesPut = 0
const countedFrom = version
const controlCpuMs = await cpuOf(changeOne)
const bytesPerChange = bytesPut / (version - countedFrom)

const kept: Snapshot[] = []
const stop = control.onSnapshot((snapshot) => kept.push(snapshot))
for (let count = 0; count < changes; count++) await changeOne()
stop()
const held = heap()
kept.length = 0
const empty = heap()
const bytesPerRevision = (held - empty) / changes
const { sites: list, programs, ...rest } = control.snapshot
const copy = structuredClone({ ...rest, sites: [...list], programs: [...programs] })
const snapshotBytes = heap() - empty
const serialized = Buffer.byteLength(JSON.stringify(copy.sites))

const wholeCpuMs = await cpuAt(await openAll(whole, (index) => openWhole(`whole-${index}`)), controlCpuMs)
const alone = heap()
const began = process.cpuUsage()
const nodes = await openAll(pops, (index) => openNode(`pop-${index}`, fabric))
const started = process.cpuUsage(began)
const perPopBytes = (heap() - alone) / pops
const popCpuMs = await cpuAt(nodes, controlCpuMs)

await control.close()
await fabric.close()
rmSync(folder, { recursive: true, force: true })
console.log(
  JSON.stringify({
    ...{ sites: list.length, pops, bytesPerChange, controlCpuMs, popCpuMs, wholeCpuMs },
    startCpuMs: (started.user + started.system) / 1000 / pops,
    ...{ snapshotBytes, serialized, bytesPerRevision, perPopBytes },
  }),
)
process.exit(0)
