/**
 * Small byte strings packed into large buffers, so that none pays for a buffer of its own. Space is never written twice:
 * whoever still sends bytes that were dropped meanwhile sends the right ones. What is left of a slab that is mostly dead
 * moves on, and the garbage collector takes the slab when nobody looks at it any more.
 */
export interface Slab {
  readonly bytes: Buffer
  used: number
  live: number
  residents: (Resident | undefined)[]
}

/** What lies in a slab; the slabs change `slab` and `at` when they move it. */
export interface Resident {
  slab: Slab
  at: number
  readonly packedBytes: number
  /** Called after a move: views of the old place may go. */
  moved(): void
}

export interface Slabs {
  /** A place for so many bytes, at most `slabBytes`; the caller fills `slab.bytes` from `at`. */
  reserve(bytes: number): { slab: Slab; at: number }
  /** Says who lies at the place reserved last. */
  settle(resident: Resident): void
  drop(resident: Resident): void
  /** All slabs, live or not. */
  readonly bytes: number
}

/** Below this share of live bytes a slab is emptied: at most four bytes are copied for each byte that comes free. */
const worthKeeping = 0.8

export function createSlabs(slabBytes: number): Slabs {
  let total = 0
  let current: Slab | undefined

  function openSlab(): Slab {
    total += slabBytes
    return { bytes: Buffer.allocUnsafeSlow(slabBytes), used: 0, live: 0, residents: [] }
  }

  function reserve(bytes: number): { slab: Slab; at: number } {
    if (current === undefined || current.used + bytes > slabBytes) {
      const full = current
      current = openSlab()
      if (full !== undefined) tidy(full)
    }
    const slab = current
    const at = slab.used
    slab.used += bytes
    slab.live += bytes
    return { slab, at }
  }

  function tidy(slab: Slab): void {
    if (slab === current || slab.live > slabBytes * worthKeeping) return
    const residents = slab.residents
    slab.residents = []
    total -= slabBytes
    for (const resident of residents) {
      if (resident === undefined || resident.slab !== slab) continue
      const { at } = resident
      const place = reserve(resident.packedBytes)
      slab.bytes.copy(place.slab.bytes, place.at, at, at + resident.packedBytes)
      resident.slab = place.slab
      resident.at = place.at
      place.slab.residents.push(resident)
      resident.moved()
    }
  }

  return {
    reserve,
    settle(resident) {
      resident.slab.residents.push(resident)
    },
    drop(resident) {
      const { slab } = resident
      slab.live -= resident.packedBytes
      const index = slab.residents.indexOf(resident)
      if (index >= 0) slab.residents[index] = undefined
      if (slab.residents.length > 0) tidy(slab)
    },
    get bytes() {
      return total
    },
  }
}
