/**
 * `aws-chunked` bodies: chunks `SIZE[;chunk-signature=…]\r\n…\r\n`, an empty one at the end, then trailers («Signature
 * Calculations for the Authorization Header: Transferring Payload in Multiple Chunks», AWS).
 */
import { createHash } from 'node:crypto'
import type { Signer } from './authorize.ts'
import { sameSignature, sha256, sign } from './signature.ts'
import { S3Error } from './trouble.ts'

/** A line that is longer is none of a chunk. */
const lineBytes = 1024
const emptyHash = sha256('')

const malformed = () => new S3Error(400, 'InvalidRequest', 'The body is not in chunks as x-amz-content-sha256 says.')
const unmatched = () =>
  new S3Error(403, 'SignatureDoesNotMatch', 'The signature of a chunk does not match the one that we calculated.')

/** Bytes of chunks. `signer` undefined: chunks are not signed. Throws an `S3Error`. */
export async function* readChunks(
  source: AsyncIterable<Uint8Array>,
  signer: Signer | undefined,
  trailers: (name: string, value: string) => void,
): AsyncGenerator<Uint8Array> {
  const reader = lineReader(source)
  let previous = signer?.signature ?? ''
  for (;;) {
    const head = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(await reader.line())
    if (head === null || (head[2] !== undefined) !== (signer !== undefined)) throw malformed()
    const size = Number.parseInt(head[1]!, 16)
    const hash = signer && createHash('sha256')
    for (let left = size; left > 0; ) {
      const bytes = await reader.bytes(left)
      hash?.update(bytes)
      left -= bytes.length
      yield bytes
    }
    if (signer !== undefined) {
      const rest = `${previous}\n${emptyHash}\n${hash!.digest('hex')}`
      previous = checked(signer, 'AWS4-HMAC-SHA256-PAYLOAD', rest, head[2]!)
    }
    if (size === 0) break
    if ((await reader.line()) !== '') throw malformed()
  }
  await readTrailers(reader, signer, previous, trailers)
}

function checked({ key, time, scope }: Signer, kind: string, rest: string, given: string): string {
  const signature = sign(key, kind, time, scope, rest)
  if (!sameSignature(signature, given)) throw unmatched()
  return signature
}

async function readTrailers(
  reader: ReturnType<typeof lineReader>,
  signer: Signer | undefined,
  previous: string,
  trailers: (name: string, value: string) => void,
): Promise<void> {
  let text = ''
  let signature: string | undefined
  for (let line = await reader.line(true); line !== ''; line = await reader.line(true)) {
    const colon = line.indexOf(':')
    if (colon === -1 || text.length > lineBytes * 4) throw malformed()
    const [name, value] = [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()]
    if (name === 'x-amz-trailer-signature') {
      signature = value
      continue
    }
    text += `${name}:${value}\n`
    trailers(name, value)
  }
  if (signer === undefined || text === '') return
  checked(signer, 'AWS4-HMAC-SHA256-TRAILER', `${previous}\n${sha256(text)}`, signature ?? '')
}

function lineReader(source: AsyncIterable<Uint8Array>) {
  const chunks = source[Symbol.asyncIterator]()
  let held: Uint8Array = new Uint8Array()
  let isOver = false

  async function more(): Promise<boolean> {
    const { done, value } = await chunks.next()
    if (done === true) {
      isOver = true
      return false
    }
    held = held.length === 0 ? value : Buffer.concat([held, value])
    return true
  }

  return {
    /** Without its end. `mayEnd`: the body may end here, which is an empty line. */
    async line(mayEnd = false): Promise<string> {
      for (;;) {
        const end = held.indexOf(10)
        if (end !== -1) {
          const line = Buffer.from(held.subarray(0, end)).toString('latin1')
          held = held.subarray(end + 1)
          return line.replace(/\r$/, '')
        }
        if (held.length > lineBytes) throw malformed()
        if (!isOver && (await more())) continue
        if (mayEnd && held.length === 0) return ''
        throw new S3Error(400, 'IncompleteBody', 'You did not provide the number of bytes that you announced.')
      }
    },
    /** At least one, at most so many. */
    async bytes(most: number): Promise<Uint8Array> {
      while (held.length === 0)
        if (isOver || !(await more()))
          throw new S3Error(400, 'IncompleteBody', 'You did not provide the number of bytes that you announced.')
      const bytes = held.subarray(0, most)
      held = held.subarray(bytes.length)
      return bytes
    },
  }
}
