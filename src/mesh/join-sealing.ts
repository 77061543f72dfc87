/** Whatever passes through the fabric on a join, readable by the newcomer alone: ECIES on P-256 with AES-256-GCM. */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  scrypt,
} from 'node:crypto'
import { promisify } from 'node:util'

const nonce = Buffer.alloc(12)
const tagBytes = 16

function keyFor(shared: Buffer, context: string): Buffer {
  return Buffer.from(hkdfSync('sha256', shared, Buffer.alloc(0), `rimward join ${context}`, 32))
}

/** Each text has a key pair of its own, so its nonce may be fixed. Length of the sender's key, the key, tag, text. */
export function sealFor(publicKey: KeyObject, text: string, context: string): Buffer {
  const sender = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = keyFor(diffieHellman({ privateKey: sender.privateKey, publicKey }), context)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  const spki = sender.publicKey.export({ type: 'spki', format: 'der' })
  return Buffer.concat([Buffer.from([spki.length]), spki, cipher.getAuthTag(), sealed])
}

/** Throws when it was sealed for another key, in another context, or changed. */
export function openSealed(privateKey: string, sealed: Buffer, context: string): string {
  const end = 1 + sealed[0]!
  const publicKey = createPublicKey({ key: sealed.subarray(1, end), format: 'der', type: 'spki' })
  const key = keyFor(diffieHellman({ privateKey: createPrivateKey(privateKey), publicKey }), context)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAuthTag(sealed.subarray(end, end + tagBytes))
  return Buffer.concat([decipher.update(sealed.subarray(end + tagBytes)), decipher.final()]).toString()
}

const stretch = promisify<string, string, number, Buffer>(scrypt)

/** The administrator's token as a key: stretched, since people choose weak ones and listeners may guess at home. */
export function stretchToken(token: string, id: string): Promise<Buffer> {
  return stretch(token, `rimward join ${id}`, 32)
}

export function proofOf(key: Buffer, what: 'request' | 'answer', bytes: Uint8Array): string {
  return createHmac('sha256', key).update(what).update(bytes).digest('base64')
}
