/** The log of a node: a file in its folder, stderr, or nothing. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createLog, type Log, type LogOptions } from './log.ts'

export interface NodeLogOptions extends Pick<LogOptions, 'limits'> {
  readonly folder: string
  readonly log: 'file' | 'stderr' | 'off'
  readonly logged?: Pick<LogOptions, 'sample' | 'query' | 'address'>
}

export async function openNodeLog({ folder, log, logged, limits }: NodeLogOptions): Promise<Log> {
  const rest = { ...logged, limits }
  if (log === 'stderr') return createLog({ to: 'stderr', ...rest })
  if (log === 'off') return createLog({ to: { write: () => {} }, ...rest })
  await mkdir(join(folder, 'log'), { recursive: true })
  return createLog({ to: { file: join(folder, 'log', 'rimward.jsonl') }, ...rest })
}
