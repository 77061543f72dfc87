/**
 * A seeded 64-bit hash of a cache key: two multiplicative lanes over the code units, each mixed at the end. It finds
 * table slots and never proves equality; the seed keeps clients from choosing keys that collide.
 */
export interface KeyHash {
  hi: number
  lo: number
}

/** The returned function writes into one shared object: read it before the next call. */
export function createKeyHash(seed: number): (key: string) => KeyHash {
  const hash: KeyHash = { hi: 0, lo: 0 }
  const seedHi = Math.imul(seed ^ 0x41c6ce57, 0x85ebca6b)
  const seedLo = Math.imul(seed ^ 0xdeadbeef, 0xc2b2ae35)
  return (key) => {
    let hi = seedHi
    let lo = seedLo
    for (let index = 0; index < key.length; index++) {
      const unit = key.charCodeAt(index)
      lo = Math.imul(lo ^ unit, 0x9e3779b1)
      hi = Math.imul(hi ^ unit, 0x5f356495)
    }
    lo = Math.imul(lo ^ (lo >>> 16), 0x85ebca6b) ^ Math.imul(hi ^ (hi >>> 13), 0xc2b2ae35)
    hi = Math.imul(hi ^ (hi >>> 16), 0x85ebca6b) ^ Math.imul(lo ^ (lo >>> 13), 0xc2b2ae35)
    hash.hi = hi >>> 0
    hash.lo = lo >>> 0
    return hash
  }
}
