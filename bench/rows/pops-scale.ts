/** What a change costs where many points of presence follow thousands of sites, and what a Snapshot takes in memory. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { BenchRow } from '../row.ts'
import { show } from '../statistics.ts'

const script = fileURLToPath(new URL('../scale-process.ts', import.meta.url))
const pops = 100
/** With their own copy of what is shared, a thread each. */
const whole = 4
const changes = 50
const sizes = [1_000, 10_000] as const

/** As `scale-process.ts` prints it. */
interface Scale {
  readonly bytesPerChange: number
  readonly controlCpuMs: number
  readonly popCpuMs: number
  readonly wholeCpuMs: number
  readonly startCpuMs: number
  readonly snapshotBytes: number
  readonly serialized: number
  readonly bytesPerRevision: number
  readonly perPopBytes: number
}

async function measure(sites: number): Promise<Scale> {
  const flags = ['--disable-warning=ExperimentalWarning', '--expose-gc', '--max-old-space-size=16000']
  const words = [sites, pops, whole, changes].map(String)
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, script, ...words])
  return JSON.parse(stdout)
}

const figures: readonly (readonly [what: string, of: (scale: Scale) => number, digits: number])[] = [
  ['bytes a change puts into the fabric; each PoP gets as many', ({ bytesPerChange }) => bytesPerChange, 0],
  ['CPU a change at the control plane, with a node that serves, ms', ({ controlCpuMs }) => controlCpuMs, 2],
  ['CPU a change at each PoP, ms', ({ popCpuMs }) => popCpuMs, 2],
  ['the same where the PoP copies what is shared to its own disk, ms', ({ wholeCpuMs }) => wholeCpuMs, 2],
  ['a Snapshot by itself in memory, MiB', ({ snapshotBytes }) => snapshotBytes / 1024 ** 2, 1],
  ['the same as JSON, MiB', ({ serialized }) => serialized / 1024 ** 2, 1],
  ['all that a PoP holds of the configuration, MiB', ({ perPopBytes }) => perPopBytes / 1024 ** 2, 1],
  ['CPU of the start of a PoP that has nothing yet, ms', ({ startCpuMs }) => startCpuMs, 0],
  ['one more revision beside the one before, KiB', ({ bytesPerRevision }) => bytesPerRevision / 1024, 1],
]

export const popsScale: BenchRow = {
  name: 'pops-scale',
  // One process a size: what it says is the mean over all nodes and changes already.
  async run({ progress }) {
    const found: Scale[] = []
    for (const sites of sizes) {
      progress(`${sites} sites`)
      found.push(await measure(sites))
    }
    const rows = figures.map(([what, of, digits]) => {
      const [few, many] = found.map(of) as [number, number]
      return [what, show(few, digits), show(many, digits), (many / few).toFixed(1)]
    })
    return {
      title: 'Many points of presence, many sites',
      how: `${pops} followers without engines and listeners beside one control plane, in one process on the embedded fabric; means of ${changes} changes of the origin and hosts of one site each, made as the API makes them. Each follower folds the log, checks its Snapshot, prepares its tables of hosts, origins and countries, and keeps it on disk; ${whole} more, measured apart, copy what is shared too. CPU is that of all threads, collection of garbage included.`,
      heading: ['', ...sizes.map((sites) => `${show(sites)} sites`), '×'],
      rows,
      failures: [],
    }
  },
}
