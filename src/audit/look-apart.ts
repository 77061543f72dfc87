/**
 * Looks at a folder from a process of its own. A process that closes a file gives up all its locks on that file (POSIX
 * `fcntl`), so a node must not open its own databases again beside SQLite; nor may reading gigabytes make its requests wait.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Limits } from '#/core/limits.ts'
import type { AuditedFolder, AuditOptions } from './audit-folder.ts'

const child = fileURLToPath(new URL('./look.child.ts', import.meta.url))

/** Rejects when it takes longer than `auditMs`, or tells of more than `auditBytes`. */
export async function lookApart(
  folder: string,
  { limits, ...options }: AuditOptions & { readonly limits: Pick<Limits, 'auditMs' | 'auditBytes'> },
): Promise<AuditedFolder> {
  const { stdout } = await promisify(execFile)(process.execPath, [child, JSON.stringify({ folder, ...options })], {
    timeout: limits.auditMs,
    maxBuffer: limits.auditBytes,
    env: {},
  })
  return JSON.parse(stdout) as AuditedFolder
}
