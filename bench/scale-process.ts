/**
 * Many points of presence that follow one configuration, without engines and listeners, in one process; printed as JSON:
 *
 *   node --expose-gc --max-old-space-size=16000 bench/scale-process.ts SITES POPS CHANGES
 *
 * Each follower is what a node has: its own fold of the log of changes, its Snapshot, its tables of hosts, and its copy on disk.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFollower } from '../src/control/follower.ts'
import { openLedger } from '../src/control/ledger.ts'
import type { Ledger } from '../src/control/ledger-port.ts'
import type { SiteRecord } from '../src/control/records.ts'
import { onlyHere } from '../src/core/keep-inside.ts'
import { defaultLimits } from '../src/core/limits.ts'
import type { Fabric } from '../src/core/ports.ts'
import type { Snapshot } from '../src/core/snapshot.ts'
import { prepareSites } from '../src/edge/find-site.ts'
import { openSqliteFabric } from '../src/fabric/sqlite/fabric.ts'

const [sites, pops, changes] = process.argv.slice(2).map(Number) as [number, number, number]
const limits = defaultLimits
const clock = Date.now
const country = 'DE'
const folder = mkdtempSync(join(tmpdir(), 'bench-scale-'))
const fabric = await openSqliteFabric({ folder: join(folder, 'fabric'), clock, limits })
const log = (message: string, error: unknown): void => console.error(message, error)

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

/** A site with an origin and two hosts of its own. */
function siteOf(index: number, version: number): SiteRecord {
  const name = `shop-${index}`
  const url = `https://origin-${version}.${name}.example`
  return {
    name,
    createdAt: 1_795_415_284_000,
    origin: url,
    hosts: [`www.${name}.example`, `${name}.example`],
    pool: { origins: [{ name: 'origin', url, weight: 100 }], choice: 'fallback' },
  }
}

/** As a node makes itself ready for a Snapshot: what is kept of it, and the tables of its hosts. */
function createServe(): (snapshot: Snapshot) => Promise<void> {
  let served: Snapshot = { revision: 0, sites: [], programs: new Map() }
  return async (snapshot) => {
    onlyHere(snapshot, country)
    prepareSites(snapshot, served)
    served = snapshot
  }
}

const parts = { hostnameSuffix: 'localhost', limits, clock, log }
const follow = async (): Promise<void> => {}
const control = await openLedger({ ...parts, fabric: counted, by: 'control', adopt: createServe(), follow })
for (let from = 0; from < sites; from += 200) {
  const records = Array.from({ length: Math.min(200, sites - from) }, (_, index) => siteOf(from + index, 0))
  await control.commit(() => ({ sites: records.map((record) => ({ name: record.name, record })) }))
}
await control.recorded()

let version = 0
async function changeOne(): Promise<void> {
  const record = siteOf(++version % sites, version)
  await control.commit(() => ({ sites: [{ name: record.name, record }] }))
  await control.recorded()
}

/** Of all threads, in milliseconds for each change. */
async function cpuOf(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  for (let count = 0; count < changes; count++) await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000 / changes
}

function heap(): number {
  globalThis.gc!()
  globalThis.gc!()
  return process.memoryUsage().heapUsed
}

// The control plane by itself, with one node that serves.
for (let count = 0; count < 20; count++) await changeOne()
bytesPut = 0
const kept: Snapshot[] = []
const stop = control.onSnapshot((snapshot) => kept.push(snapshot))
heap()
const controlCpuMs = await cpuOf(changeOne)
stop()
const bytesPerChange = bytesPut / changes
const held = heap()
kept.length = 0
const bytesPerRevision = (held - heap()) / changes
const empty = heap()
const copy = structuredClone({
  ...control.snapshot,
  sites: [...control.snapshot.sites],
  programs: new Map(control.snapshot.programs),
})
const snapshotBytes = heap() - empty
const serialized = Buffer.byteLength(JSON.stringify(copy.sites))

// And with all others.
const followers: { readonly ledger: Ledger; readonly follower: ReturnType<typeof createFollower> }[] = []
const alone = heap()
for (let index = 0; index < pops; index++) {
  const serve = createServe()
  const follower = createFollower({
    ...{ folder: join(folder, `pop-${index}`), fabric, serve, country, release: 'bench', limits, clock },
    log: () => {},
  })
  const deps = { ...parts, fabric, by: `pop-${index}`, adopt: serve }
  followers.push({ follower, ledger: await openLedger({ ...deps, follow: follower.follow }) })
  await follower.kept()
}
const perPopBytes = (heap() - alone) / pops

async function changeEverywhere(): Promise<void> {
  await changeOne()
  const { revision } = control.snapshot
  for (const { follower } of followers) {
    while (follower.status().revision < revision) await new Promise((resolve) => setImmediate(resolve))
    await follower.kept()
  }
}
await changeEverywhere()
const allCpuMs = await cpuOf(changeEverywhere)

for (const { ledger, follower } of followers) {
  ledger.close()
  await follower.close()
}
control.close()
await fabric.close()
rmSync(folder, { recursive: true, force: true })
console.log(
  JSON.stringify({
    ...{ sites: control.snapshot.sites.length, pops, bytesPerChange, controlCpuMs },
    popCpuMs: (allCpuMs - controlCpuMs) / pops,
    ...{ snapshotBytes, serialized, bytesPerRevision, perPopBytes },
  }),
)
process.exit(0)
