/**
 * An invitation as people carry it: a key pair of its own, whose private half is the token. The platform keeps the public
 * half, so neither who reads the fabric nor who listens there can use it, and the token is never sent. It also holds the
 * first bytes of the authority's fingerprint, so that a newcomer is not taken in by another platform.
 */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes } from 'node:crypto'
import { EdgeError } from '#/core/errors.ts'

const mark = 'rimward-invite-'
const idBytes = 8
const seedBytes = 32
const fingerprintBytes = 16
/** DER of an Ed25519 private key up to the key itself (RFC 8410 §7). */
const privateHead = Buffer.from('302e020100300506032b657004220420', 'hex')

export interface JoinToken {
  /** Hex. */
  readonly id: string
  readonly privateKey: KeyObject
  /** SPKI, base64. */
  readonly publicKey: string
  /** Of the authority's public key, hex; the first 32 digits. */
  readonly fingerprint: string
}

export function createJoinToken(fingerprint: string): { readonly text: string; readonly token: JoinToken } {
  const bytes = Buffer.concat([
    randomBytes(idBytes + seedBytes),
    Buffer.from(fingerprint, 'hex').subarray(0, fingerprintBytes),
  ])
  const text = `${mark}${bytes.toString('base64url')}`
  return { text, token: readJoinToken(text) }
}

/** Throws `bad_request` for what is no invitation. */
export function readJoinToken(text: string): JoinToken {
  const bytes = Buffer.from(text.trim().slice(mark.length), 'base64url')
  if (!text.trim().startsWith(mark) || bytes.length !== idBytes + seedBytes + fingerprintBytes)
    throw new EdgeError(
      'bad_request',
      `An invitation begins with ${mark}, as «rimward invite» prints it; this is none.`,
    )
  const seed = bytes.subarray(idBytes, idBytes + seedBytes)
  const privateKey = createPrivateKey({ key: Buffer.concat([privateHead, seed]), format: 'der', type: 'pkcs8' })
  return {
    id: bytes.toString('hex', 0, idBytes),
    privateKey,
    publicKey: createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).toString('base64'),
    fingerprint: bytes.toString('hex', idBytes + seedBytes),
  }
}
