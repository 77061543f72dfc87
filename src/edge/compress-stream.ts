/**
 * Streams that encode and decode content codings, at levels that a request can pay for.
 */
import { PassThrough, pipeline, type Readable, type Transform } from 'node:stream'
import {
  type BrotliOptions,
  brotliCompress,
  constants,
  createBrotliCompress,
  createBrotliDecompress,
  createGunzip,
  createGzip,
  createZstdCompress,
  createZstdDecompress,
  gzip,
  type ZlibOptions,
  type ZstdOptions,
  zstdCompress,
} from 'node:zlib'
import type { Coding } from '#/http/accept-encoding.ts'

const gzipOptions: ZlibOptions = { level: 5 }

/** A window of 256 KiB keeps one encoder below 1 MiB; the default of 4 MiB costs ten times as much. */
const brotliParams = { [constants.BROTLI_PARAM_QUALITY]: 4, [constants.BROTLI_PARAM_LGWIN]: 18 }
const zstdOptions: ZstdOptions = {
  params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_windowLog]: 18 },
}

const encoders: Readonly<Record<Coding, () => Transform>> = {
  gzip: () => createGzip(gzipOptions),
  br: () => createBrotliCompress({ params: brotliParams }),
  zstd: () => createZstdCompress(zstdOptions),
}

/** A window above 8 MiB is refused: RFC 8878 §3.1.1.1.2 asks decoders to hold no more than that. */
const decoders: Readonly<Record<Coding, () => Transform>> = {
  gzip: () => createGunzip(),
  br: () => createBrotliDecompress(),
  zstd: () => createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: 23 } }),
}

/** Encodes a whole body off this thread. */
export function encodeWhole(body: Uint8Array, coding: Coding): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const done = (error: Error | null, result: Buffer) => (error === null ? resolve(result) : reject(error))
  const brotliOptions: BrotliOptions = {
    params: { ...brotliParams, [constants.BROTLI_PARAM_SIZE_HINT]: body.length },
  }
  if (coding === 'gzip') gzip(body, gzipOptions, done)
  else if (coding === 'br') brotliCompress(body, brotliOptions, done)
  else zstdCompress(body, zstdOptions, done)
  return promise
}

export interface CodeStreamOptions {
  readonly decode: Coding | undefined
  readonly encode: Coding | undefined
  /** How long bytes may wait in the encoder for more of them. */
  readonly flushMs: number
  /** Called once, when the stream is over one way or the other. */
  onClose(): void
}

/**
 * The body in its new coding. What the source gives in pieces leaves in pieces: the first at once, later ones after
 * `flushMs` at most. A source that breaks off breaks the result.
 */
export function codeStream(source: Readable, options: CodeStreamOptions): Readable {
  const stages: Transform[] = []
  if (options.decode !== undefined) stages.push(decoders[options.decode]())
  if (options.encode !== undefined) stages.push(encoders[options.encode]())
  if (stages.length === 0) stages.push(new PassThrough())
  const last = stages.at(-1)!
  const into = stages.length > 1 ? stages[0]! : source
  if (options.encode !== undefined) flushInTime(into, last, options.flushMs)
  pipeline([source, ...stages], () => options.onClose())
  return last
}

function flushInTime(from: Readable, encoder: Transform, flushMs: number): void {
  let waiting: NodeJS.Timeout | undefined
  let begun = false
  function flush(): void {
    waiting = undefined
    if (!encoder.destroyed && !encoder.writableEnded) (encoder as unknown as { flush(): void }).flush()
  }
  from.on('data', () => {
    if (!begun) {
      begun = true
      setImmediate(flush)
    } else waiting ??= setTimeout(flush, flushMs)
  })
  encoder.on('close', () => clearTimeout(waiting))
}
