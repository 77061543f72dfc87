/** Checksums that S3 clients send with a body, in a field or as a trailer. */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { notImplemented, S3Error } from './trouble.ts'

export interface Checksum {
  update(bytes: Uint8Array): void
  /** Base64, as fields carry it. */
  digest(): string
}

const makers: Readonly<Record<string, () => Checksum>> = {
  'x-amz-checksum-crc32': () => cyclic((bytes, value) => crc32(bytes, value)),
  'x-amz-checksum-crc32c': () => cyclic(crc32c),
  'x-amz-checksum-sha1': () => hashed('sha1'),
  'x-amz-checksum-sha256': () => hashed('sha256'),
  'content-md5': () => hashed('md5'),
}

/** Those named by fields, with the values that they are to have; a trailer's value comes later. */
export function checksumsOf(
  fields: ReadonlyMap<string, string>,
): Map<string, { readonly sum: Checksum; wanted: string | undefined }> {
  const found = new Map<string, { readonly sum: Checksum; wanted: string | undefined }>()
  const trailers = (fields.get('x-amz-trailer') ?? '').split(',').map((name) => name.trim().toLowerCase())
  const given = [...fields.keys()].filter((name) => name === 'content-md5' || isChecksum(name))
  for (const name of [...given, ...trailers.filter((one) => one !== '')]) {
    const make = makers[name]
    if (make === undefined) throw notImplemented(`Checksum '${name.slice(0, 60)}'`)
    found.set(name, { sum: make(), wanted: fields.get(name) })
  }
  return found
}

/** Other fields that begin so say which algorithm, mode or type is meant. */
const isChecksum = (name: string) =>
  name.startsWith('x-amz-checksum-') && !['algorithm', 'mode', 'type'].includes(name.slice('x-amz-checksum-'.length))

/** Throws an `S3Error` where the body is another. */
export function compareChecksum(name: string, wanted: string | undefined, actual: string): void {
  if (wanted === undefined)
    throw new S3Error(400, 'InvalidRequest', `The trailer ${name} was announced and did not come.`)
  if (wanted === actual) return
  const word = name === 'content-md5' ? 'MD5' : name.slice('x-amz-checksum-'.length).toUpperCase()
  throw new S3Error(
    400,
    'BadDigest',
    `The ${word} checksum you specified did not match what we received.\nYou provided a ${word} checksum with value: ${wanted}\nActual ${word} was: ${actual}`,
  )
}

function hashed(name: string): Checksum {
  const hash = createHash(name)
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest('base64') }
}

function cyclic(step: (bytes: Uint8Array, value: number) => number): Checksum {
  let value = 0
  return {
    update(bytes) {
      value = step(bytes, value)
    },
    digest() {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(value >>> 0)
      return bytes.toString('base64')
    },
  }
}

/** Castagnoli's polynomial, reflected (RFC 3720 §12.1). */
const castagnoli = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value
})

export function crc32c(bytes: Uint8Array, value = 0): number {
  let crc = ~value
  for (let index = 0; index < bytes.length; index++) crc = (crc >>> 8) ^ castagnoli[(crc ^ bytes[index]!) & 255]!
  return ~crc >>> 0
}
