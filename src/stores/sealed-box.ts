/**
 * Opens libsodium's sealed boxes, which is how a client sends a secret that only we can read: X25519, BLAKE2b for the nonce,
 * XSalsa20-Poly1305. https://doc.libsodium.org/public-key_cryptography/sealed_boxes https://nacl.cr.yp.to/valid.html
 */
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject, timingSafeEqual } from 'node:crypto'
import { blake2b } from '@noble/hashes/blake2.js'

const keyBytes = 32
const tagBytes = 16
/** DER of an X25519 key up to the key itself: RFC 8410 §4, §7. */
const publicHead = Buffer.from('302a300506032b656e032100', 'hex')
const privateHead = Buffer.from('302e020100300506032b656e04220420', 'hex')

/** `secret` is the raw private key that belongs to `publicKey`. `undefined` when the box was not sealed for it or changed. */
export function openSealedBox(box: Uint8Array, publicKey: Uint8Array, secret: Uint8Array): Buffer | undefined {
  if (box.length < keyBytes + tagBytes) return undefined
  const sender = box.subarray(0, keyBytes)
  const nonce = blake2b(Buffer.concat([sender, publicKey]), { dkLen: 24 })
  const shared = sharedSecret(sender, secret)
  return shared && openSecretBox(box.subarray(keyBytes), nonce, hsalsa20(shared, new Uint8Array(16)))
}

/** The raw bytes of both halves. */
export function rawKeys(pair: { readonly publicKey: KeyObject; readonly privateKey: KeyObject }) {
  return {
    publicKey: pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(publicHead.length),
    secret: pair.privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(privateHead.length),
  }
}

/** `undefined` for a point of small order, with which everybody shares the same secret (RFC 7748 §6.1). */
function sharedSecret(sender: Uint8Array, secret: Uint8Array): Buffer | undefined {
  const privateKey = createPrivateKey({ key: Buffer.concat([privateHead, secret]), format: 'der', type: 'pkcs8' })
  const publicKey = createPublicKey({ key: Buffer.concat([publicHead, sender]), format: 'der', type: 'spki' })
  try {
    return diffieHellman({ privateKey, publicKey })
  } catch {
    return undefined
  }
}

/** `crypto_secretbox_open`: tag, then text. The nonce has 24 bytes. */
export function openSecretBox(box: Uint8Array, nonce: Uint8Array, key: Uint8Array): Buffer | undefined {
  const tag = box.subarray(0, tagBytes)
  const text = box.subarray(tagBytes)
  const stream = salsa20(hsalsa20(key, nonce.subarray(0, 16)), nonce.subarray(16, 24), keyBytes + text.length)
  if (!timingSafeEqual(poly1305(text, stream.subarray(0, keyBytes)), tag)) return undefined
  const opened = Buffer.alloc(text.length)
  for (let index = 0; index < text.length; index++) opened[index] = text[index]! ^ stream[keyBytes + index]!
  return opened
}

/** «expand 32-byte k» */
const constants = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const
/** One double round: target, its two sources, and the rotation. https://cr.yp.to/snuffle/spec.pdf */
const steps = [
  [4, 0, 12, 7],
  [8, 4, 0, 9],
  [12, 8, 4, 13],
  [0, 12, 8, 18],
  [9, 5, 1, 7],
  [13, 9, 5, 9],
  [1, 13, 9, 13],
  [5, 1, 13, 18],
  [14, 10, 6, 7],
  [2, 14, 10, 9],
  [6, 2, 14, 13],
  [10, 6, 2, 18],
  [3, 15, 11, 7],
  [7, 3, 15, 9],
  [11, 7, 3, 13],
  [15, 11, 7, 18],
  [1, 0, 3, 7],
  [2, 1, 0, 9],
  [3, 2, 1, 13],
  [0, 3, 2, 18],
  [6, 5, 4, 7],
  [7, 6, 5, 9],
  [4, 7, 6, 13],
  [5, 4, 7, 18],
  [11, 10, 9, 7],
  [8, 11, 10, 9],
  [9, 8, 11, 13],
  [10, 9, 8, 18],
  [12, 15, 14, 7],
  [13, 12, 15, 9],
  [14, 13, 12, 13],
  [15, 14, 13, 18],
] as const

function stateOf(key: Uint8Array, sixteen: Uint8Array): Uint32Array {
  const words = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const [k, n] = [words(key), words(sixteen)]
  const state = new Uint32Array(16)
  for (let index = 0; index < 4; index++) {
    state[index * 5] = constants[index]!
    state[1 + index] = k.getUint32(index * 4, true)
    state[11 + index] = k.getUint32(16 + index * 4, true)
    state[6 + index] = n.getUint32(index * 4, true)
  }
  return state
}

function rounds(state: Uint32Array): Uint32Array {
  const x = state.slice()
  for (let round = 0; round < 20; round += 2)
    for (const [to, one, other, turn] of steps) {
      const sum = (x[one]! + x[other]!) >>> 0
      x[to] = x[to]! ^ ((sum << turn) | (sum >>> (32 - turn)))
    }
  return x
}

function hsalsa20(key: Uint8Array, input: Uint8Array): Uint8Array {
  const x = rounds(stateOf(key, input))
  const out = Buffer.alloc(keyBytes)
  for (const [index, word] of [0, 5, 10, 15, 6, 7, 8, 9].entries()) out.writeUInt32LE(x[word]!, index * 4)
  return out
}

function salsa20(key: Uint8Array, nonce: Uint8Array, length: number): Buffer {
  const out = Buffer.alloc(Math.ceil(length / 64) * 64)
  const counted = Buffer.concat([nonce, Buffer.alloc(8)])
  for (let block = 0; block * 64 < length; block++) {
    counted.writeUInt32LE(block, 8)
    const state = stateOf(key, counted)
    const x = rounds(state)
    for (let word = 0; word < 16; word++) out.writeUInt32LE((x[word]! + state[word]!) >>> 0, block * 64 + word * 4)
  }
  return out.subarray(0, length)
}

/** RFC 8439 §2.5.1; with large integers, as texts are short. */
function poly1305(text: Uint8Array, key: Uint8Array): Buffer {
  const little = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex') || '0'}`)
  const prime = (1n << 130n) - 5n
  const r = little(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn
  let sum = 0n
  for (let at = 0; at < text.length; at += 16) {
    const part = text.subarray(at, at + 16)
    sum = ((sum + little(part) + (1n << BigInt(8 * part.length))) * r) % prime
  }
  const tag = (sum + little(key.subarray(16, 32))) & ((1n << 128n) - 1n)
  return Buffer.from(tag.toString(16).padStart(32, '0'), 'hex').reverse()
}
