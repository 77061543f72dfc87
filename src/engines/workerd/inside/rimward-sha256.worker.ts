/** SHA-256 (FIPS 180-4) and HMAC (RFC 2104), at once: ids are made in one turn, and Web Crypto only answers later. */

const constants = new Uint32Array(64)
const start = new Uint32Array(8)
{
  // FIPS 180-4 §4.2.2, §5.3.3: fractions of the cube and square roots of the first primes.
  const isPrime = (value: number): boolean => {
    for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false
    return true
  }
  let index = 0
  for (let value = 2; index < 64; value++) {
    if (!isPrime(value)) continue
    if (index < 8) start[index] = Math.floor((Math.sqrt(value) % 1) * 2 ** 32)
    constants[index++] = Math.floor((Math.cbrt(value) % 1) * 2 ** 32)
  }
}

const turn = (value: number, bits: number): number => (value >>> bits) | (value << (32 - bits))

function mix(state: Uint32Array, view: DataView, at: number): void {
  const words = new Uint32Array(64)
  for (let index = 0; index < 64; index++) {
    if (index < 16) {
      words[index] = view.getUint32(at + index * 4)
      continue
    }
    const [late, early] = [words[index - 2]!, words[index - 15]!]
    const one = turn(early, 7) ^ turn(early, 18) ^ (early >>> 3)
    const two = turn(late, 17) ^ turn(late, 19) ^ (late >>> 10)
    words[index] = words[index - 16]! + one + words[index - 7]! + two
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number]
  for (let index = 0; index < 64; index++) {
    const sum = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)
    const first = (h + sum + ((e & f) ^ (~e & g)) + constants[index]! + words[index]!) | 0
    const second = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + first) | 0
    d = c
    c = b
    b = a
    a = (first + second) | 0
  }
  for (const [index, value] of [a, b, c, d, e, f, g, h].entries()) state[index] = state[index]! + value
}

/** 32 bytes. */
export function digest(bytes: Uint8Array): Uint8Array {
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64)
  padded.set(bytes)
  padded[bytes.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setBigUint64(padded.length - 8, BigInt(bytes.length) * 8n)
  const state = start.slice()
  for (let at = 0; at < padded.length; at += 64) mix(state, view, at)
  const out = new DataView(new ArrayBuffer(32))
  for (const [index, word] of state.entries()) out.setUint32(index * 4, word)
  return new Uint8Array(out.buffer)
}

/** HMAC-SHA-256 with a key of at most 64 bytes. */
export function keyedDigest(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const inner = new Uint8Array(64 + bytes.length).fill(0x36, 0, 64)
  const outer = new Uint8Array(96).fill(0x5c, 0, 64)
  for (const [index, byte] of key.entries()) {
    inner[index]! ^= byte
    outer[index]! ^= byte
  }
  inner.set(bytes, 64)
  outer.set(digest(inner), 64)
  return digest(outer)
}
