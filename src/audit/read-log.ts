/** Whose lines lie in the access log: those that tell more of an exchange than that it was handed over. */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Owner } from '#/core/holdings.ts'
import type { Bytes } from '#/core/units.ts'

export async function* readLog(path: string): AsyncGenerator<{ readonly owner: Owner; readonly bytes: Bytes }> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    const owner = ownerOfLine(line)
    if (owner !== undefined) yield { owner, bytes: Buffer.byteLength(line) + 1 }
  }
}

/** Undefined for the node's own lines, and for those without path and client. */
export function ownerOfLine(line: string): Owner | undefined {
  try {
    const { site, path, client } = JSON.parse(line) as { site?: string; path?: string; client?: string }
    return site !== undefined && (path || client) ? { kind: 'site', id: site } : undefined
  } catch {
    return undefined
  }
}
