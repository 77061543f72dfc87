/** The body of a request: out of its chunks, and checked against everything that the client said of it. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Authorized } from './authorize.ts'
import { checksumsOf, compareChecksum } from './checksums.ts'
import type { S3Request } from './request.ts'
import { readChunks } from './signed-chunks.ts'
import { invalid, notImplemented, S3Error } from './trouble.ts'

export interface S3Body {
  /** Without the chunks' own lines. */
  readonly bytes: number
  readonly source: Readable
  /** Why `source` ended with an error, where the body is to blame. */
  failure(): S3Error | undefined
}

/** Throws an `S3Error` where there is no length. */
export function bodyOf(request: S3Request, { payload, signer }: Authorized): S3Body {
  const isChunked = payload.startsWith('STREAMING-')
  const length = request.header(isChunked ? 'x-amz-decoded-content-length' : 'content-length')
  const bytes = Number(length ?? (request.header('transfer-encoding') === undefined ? 0 : Number.NaN))
  if (!Number.isInteger(bytes) || bytes < 0)
    throw new S3Error(411, 'MissingContentLength', 'You must provide the Content-Length HTTP header.')
  let failure: S3Error | undefined
  const checks = checksOf(request, payload)

  async function* checked(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of plain()) {
        for (const { sum } of checks.values()) sum.update(chunk)
        yield chunk
      }
      for (const [name, { sum, wanted }] of checks)
        if (name === 'payload') comparePayload(wanted!, sum.digest())
        else compareChecksum(name, wanted, sum.digest())
    } catch (error) {
      if (error instanceof S3Error) failure = error
      throw error
    }
  }

  function plain(): AsyncIterable<Uint8Array> {
    // The connection outlives a body that is refused: somebody has to be told.
    const incoming = request.incoming.iterator({ destroyOnReturn: false })
    if (!isChunked) return incoming
    return readChunks(incoming, payload.includes('HMAC') ? signer : undefined, (name, value) => {
      const known = checks.get(name)
      if (known !== undefined) known.wanted = value
    })
  }

  return { bytes, source: Readable.from(checked(), { objectMode: false }), failure: () => failure }
}

function checksOf({ fields }: S3Request, payload: string): ReturnType<typeof checksumsOf> {
  const checks = checksumsOf(fields)
  if (/^[0-9a-f]{64}$/.test(payload)) {
    const hash = createHash('sha256')
    const sum = { update: (bytes: Uint8Array) => void hash.update(bytes), digest: () => hash.digest('hex') }
    checks.set('payload', { sum, wanted: payload })
  } else if (!knownPayloads.has(payload)) {
    throw payload.startsWith('STREAMING-')
      ? notImplemented(`x-amz-content-sha256 '${payload}'`)
      : invalid('x-amz-content-sha256')
  }
  return checks
}

const knownPayloads = new Set([
  'UNSIGNED-PAYLOAD',
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
])

function comparePayload(wanted: string, actual: string): void {
  if (wanted !== actual)
    throw new S3Error(
      400,
      'XAmzContentSHA256Mismatch',
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )
}

/** All of it, no more than `limit` bytes. */
export async function textOf({ source }: S3Body, limit: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of source as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > limit) throw new S3Error(400, 'MaxMessageLengthExceeded', 'Your request was too big.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
