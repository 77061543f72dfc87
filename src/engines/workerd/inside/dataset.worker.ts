/**
 * Wraps the runtime's own Analytics Engine binding, which counts a point's parts behind the program's back: here, as at
 * Cloudflare, one with too many throws at once. The limits and the words are those of workerd's
 * src/workerd/api/analytics-engine-impl.h.
 */

interface Inner {
  readonly native: { writeDataPoint(point?: unknown): void }
}

const most = { indexes: 1, blobs: 20, doubles: 20, indexBytes: 96, blobBytes: 16_000 }

function refuse(what: string): never {
  throw new TypeError(`writeDataPoint(): ${what}`)
}

function bytesOf(item: unknown): number {
  if (item === null || item === undefined) return 0
  if (item instanceof ArrayBuffer || ArrayBuffer.isView(item)) return item.byteLength
  return new TextEncoder().encode(String(item)).length
}

function check(name: 'indexes' | 'blobs' | 'doubles', list: unknown): void {
  // What is no list is refused by the runtime, in its own words.
  if (!Array.isArray(list)) return
  if (list.length > most[name]) refuse(`Maximum of ${most[name]} ${name} supported.`)
  if (name === 'indexes' && list.length > 0 && bytesOf(list[0]) > most.indexBytes)
    refuse(`Size of indexes[0] exceeds ${most.indexBytes} bytes).`)
  if (name === 'blobs' && list.reduce((sum: number, blob) => sum + bytesOf(blob), 0) > most.blobBytes)
    refuse(`Cumulative size of blobs exceeds ${most.blobBytes} bytes).`)
}

class AnalyticsEngine {
  readonly #native: Inner['native']

  constructor({ native }: Inner) {
    this.#native = native
  }

  writeDataPoint(point?: unknown): void {
    // Read once: what was checked is what is written.
    const { indexes, blobs, doubles } = Object(point) as Record<string, unknown>
    check('indexes', indexes)
    check('blobs', blobs)
    check('doubles', doubles)
    this.#native.writeDataPoint(typeof point === 'object' && point !== null ? { indexes, blobs, doubles } : point)
  }
}

export default function wrap(inner: Inner): AnalyticsEngine {
  return new AnalyticsEngine(inner)
}
