/** The key of what stays in some countries, as nodes there hold it, and what is encrypted with it. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { nameWithin } from '#/core/blob-names.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Within } from '#/core/pops.ts'
import type { Bucket, Entry, Fabric, Seal } from '#/core/ports.ts'
import type { Milliseconds } from '#/core/units.ts'

/** NIST SP 800-38D §8.2: 96 bits, random. */
const nonceBytes = 12
const tagBytes = 16

/** The key of some countries; whoever needs it first makes it. Nodes elsewhere never hold it. */
export async function openPlacedKey(
  fabric: Pick<Fabric, 'bucket'>,
  within: Within,
  seal: Pick<Seal, 'seal' | 'open'>,
  waitMs: Milliseconds,
): Promise<Buffer> {
  const keys = fabric.bucket(nameWithin('placed-keys', within), { within })
  if ((await keys.get('blobs')) === undefined)
    await keys.put('blobs', Buffer.from(seal.seal(randomBytes(32).toString('base64'))), { expect: 0 })
  const entry = await awaitEntry(keys, 'blobs', waitMs)
  if (entry === undefined) throw new EdgeError('internal', `The key for what stays in ${within.join(', ')} is missing.`)
  return Buffer.from(seal.open(Buffer.from(entry.value).toString()), 'base64')
}

/** An entry that is there or arrives in time. */
export async function awaitEntry(bucket: Bucket, key: string, waitMs: Milliseconds): Promise<Entry | undefined> {
  const there = await bucket.get(key)
  if (there !== undefined) return there
  let stop = () => {}
  let timer: NodeJS.Timeout | undefined
  const arrived = new Promise<void>((resolve) => {
    stop = bucket.watch(key, (change) => {
      if (change.kind === 'put' && change.entry.key === key) resolve()
    })
    timer = setTimeout(resolve, waitMs)
  })
  try {
    // It may have come before it was watched for.
    const now = await bucket.get(key)
    if (now !== undefined) return now
    await arrived
    return await bucket.get(key)
  } finally {
    stop()
    clearTimeout(timer)
  }
}

/** AES-256-GCM; bound to its place, so that parts cannot be exchanged. */
export function encrypt(key: Buffer, place: string, bytes: Uint8Array): Buffer {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes }).setAAD(Buffer.from(place))
  return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
}

/** Throws `internal` for what was changed, or belongs elsewhere. */
export function decrypt(key: Buffer, place: string, bytes: Uint8Array): Buffer {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
    decipher.setAAD(Buffer.from(place)).setAuthTag(bytes.subarray(-tagBytes))
    return Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()])
  } catch (error) {
    throw new EdgeError('internal', `${place} is damaged.`, { cause: error })
  }
}
