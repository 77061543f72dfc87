/**
 * Whose answers lie in the cache's segments. All records count, also those that the index has given up: their bytes are
 * on the disk until their segment goes.
 */
import { open } from 'node:fs/promises'
import type { Bytes } from '#/core/units.ts'

/** A record as it lies; its header is `cache/disk/record.ts`'s. */
export interface SegmentRecord {
  /** Who fetched it: a site's or a program's name. */
  readonly scope: string
  readonly offset: Bytes
  /** Header, head and body together. */
  readonly bytes: Bytes
  /** Number of the file with its body; 0: the body is in the record. */
  readonly file: number
}

const mark = 0x52574331
export const headerBytes = 28

/** Ends where no record begins: at the end of what was written whole. */
export async function* readSegment(path: string): AsyncGenerator<SegmentRecord> {
  const handle = await open(path)
  try {
    const header = Buffer.alloc(headerBytes)
    for (let offset = 0; ; ) {
      const { bytesRead } = await handle.read(header, 0, headerBytes, offset)
      if (bytesRead < headerBytes || header.readUInt32BE(0) !== mark) return
      const headBytes = header.readUInt32BE(8)
      const bytes = headerBytes + headBytes + header.readUInt32BE(12)
      const head = Buffer.alloc(headBytes)
      await handle.read(head, 0, headBytes, offset + headerBytes)
      const scope = scopeOf(head)
      if (scope !== undefined) yield { scope, offset, bytes, file: header.readUInt32BE(16) }
      offset += bytes
    }
  } finally {
    await handle.close()
  }
}

/** Undefined for what was erased. */
function scopeOf(head: Buffer): string | undefined {
  try {
    const { scope } = JSON.parse(head.toString('utf8')) as { scope?: unknown }
    return typeof scope === 'string' ? scope : undefined
  } catch {
    return undefined
  }
}
