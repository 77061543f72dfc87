/**
 * The access log: one JSON line an exchange, written behind the request path, to a file that rotates or to stderr.
 */
import { renameSync, statSync } from 'node:fs'
import ipaddr from 'ipaddr.js'
import pino, { type DestinationStream, type Logger } from 'pino'
import type { Limits } from '#/core/limits.ts'
import { formatLine, type LogLine } from './log-line.ts'

export interface LogOptions {
  readonly to: 'stderr' | { readonly file: string } | { write(line: string): void }
  readonly limits: Pick<Limits, 'logFileBytes' | 'logFiles' | 'logQueueBytes'>
  /** Share of exchanges without an error that leave a line, 0 to 1; those with one always do. Default 1. */
  readonly sample?: number
  /**
   * Queries hold tokens and names of people, so by default only the names of parameters are kept (`?token=*`).
   */
  readonly query?: 'full' | 'names' | 'none'
  /** `network` keeps /24 of IPv4 and /48 of IPv6 addresses. Default `full`. */
  readonly address?: 'full' | 'network'
}

export interface Log {
  /** Takes the line over: what is redacted is changed in place. */
  exchange(line: LogLine): void
  /** For everything that is not an exchange: starts, stops, failures of the platform. */
  readonly logger: Logger
  /** Lines given up because the destination was slower than `logQueueBytes` allows. */
  readonly dropped: number
  flush(): Promise<void>
  close(): Promise<void>
}

interface Destination {
  write(line: string): void
  readonly dropped: number
  flush(): Promise<void>
  close(): Promise<void>
}

export function createLog(options: LogOptions): Log {
  const destination = openDestination(options)
  const { sample = 1, query = 'names', address = 'full' } = options
  return {
    exchange(line) {
      if (line.error === undefined && sample < 1 && !sampled(line.id, sample)) return
      if (query !== 'full') line.path = redactQuery(line.path, query)
      if (address !== 'full') line.client = networkOf(line.client)
      destination.write(formatLine(line))
    },
    logger: pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination as DestinationStream),
    get dropped() {
      return destination.dropped
    },
    flush: () => destination.flush(),
    close: () => destination.close(),
  }
}

/** The id is random, so it also decides: the same exchange is kept or not wherever one asks. */
function sampled(id: string, share: number): boolean {
  return Number.parseInt(id.slice(0, 8), 16) < share * 0x1_0000_0000
}

/** `/a?x=1&y` becomes `/a?x=*&y`, or `/a` with `none`. */
export function redactQuery(path: string, keep: 'names' | 'none'): string {
  const start = path.indexOf('?')
  if (start === -1) return path
  if (keep === 'none') return path.slice(0, start)
  return `${path.slice(0, start + 1)}${path.slice(start + 1).replace(/=[^&]*/g, '=*')}`
}

/** /24 or /48, as text; what is no address stays. */
export function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  const bytes = parsed.toByteArray().fill(0, parsed.kind() === 'ipv4' ? 3 : 6)
  return `${ipaddr.fromByteArray(bytes).toString()}/${bytes.length === 4 ? 24 : 48}`
}

function openDestination({ to, limits }: LogOptions): Destination {
  if (typeof to === 'object' && 'write' in to) {
    const done = async () => {}
    return { write: (line) => to.write(line), dropped: 0, flush: done, close: done }
  }
  const file = to === 'stderr' ? undefined : to.file
  const stream = pino.destination({
    dest: file ?? 2,
    mkdir: true,
    sync: false,
    contentMode: 'buffer',
    maxLength: limits.logQueueBytes,
  })
  let dropped = 0
  let bytes = file === undefined ? 0 : sizeOf(file)
  stream.on('drop', () => dropped++)
  // A full disk must not end the process; the line is lost and counted.
  stream.on('error', () => dropped++)
  const batch = createBatch((lines) => stream.write(lines as unknown as string))
  const flush = () => {
    batch.flush()
    return new Promise<void>((resolve) => stream.flush(() => resolve()))
  }
  return {
    write(line) {
      bytes += batch.add(line)
      if (file === undefined || bytes < limits.logFileBytes) return
      bytes = 0
      batch.flush()
      rotate(file, limits.logFiles)
      stream.reopen()
    },
    get dropped() {
      return dropped
    },
    flush,
    async close() {
      await flush()
      batch.close()
      if (file !== undefined) stream.end()
    },
  }
}

const batchBytes = 32 * 1024
const batchMs = 500

/**
 * Lines become bytes as they come. Joined as strings they are copied twice more and live long enough to reach the old
 * generation, which costs four times the formatting (measured with wrk, hello world, 32 connections).
 */
function createBatch(write: (lines: Buffer) => void) {
  let buffer = Buffer.allocUnsafeSlow(batchBytes)
  let used = 0

  function flush(): void {
    if (used === 0) return
    const full = buffer.subarray(0, used)
    buffer = Buffer.allocUnsafeSlow(batchBytes)
    used = 0
    write(full)
  }

  const timer = setInterval(flush, batchMs).unref()
  return {
    flush,
    /** Returns the bytes of the line. */
    add(line: string): number {
      // UTF-8 has at most three bytes for one UTF-16 unit.
      if (used + line.length * 3 > batchBytes) flush()
      if (line.length * 3 > batchBytes) {
        const whole = Buffer.from(line)
        write(whole)
        return whole.length
      }
      const length = buffer.write(line, used)
      used += length
      return length
    },
    close: () => clearInterval(timer),
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}

/** `log` becomes `log.1`, `log.1` becomes `log.2`…; the oldest of `keep` files in all is overwritten. */
function rotate(file: string, keep: number): void {
  for (let number = keep - 1; number >= 1; number--) {
    const from = number === 1 ? file : `${file}.${number - 1}`
    if (statSync(from, { throwIfNoEntry: false }) !== undefined) renameSync(from, `${file}.${number}`)
  }
}
