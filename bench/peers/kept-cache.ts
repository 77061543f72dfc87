/** Other caches in front of an origin of ours, each with the page that is asked for in its memory. */
import { execFileSync } from 'node:child_process'
import type { Target } from '../target.ts'
import { authorities, type KeptPage, startPageOrigin, untilWarm } from './kept-page.ts'

export interface RunningCache {
  readonly port: number
  readonly pid: number
  stop(): Promise<void>
}

/** `launchCache` starts it in front of an origin at this port. Resolves when the origin is no longer asked. */
export async function startKeptCache(
  page: KeptPage,
  launchCache: (originPort: number) => Promise<RunningCache>,
): Promise<Target> {
  const origin = await startPageOrigin(page)
  const { port, pid, stop } = await launchCache(origin.port)
  const target: Target = {
    host: '127.0.0.1',
    port,
    authorities,
    path: page.path,
    pid,
    async stop() {
      await stop()
      origin.close()
    },
  }
  await untilWarm(target, origin)
  return target
}

/** What `command` prints, on whichever stream, as `pattern` catches it; undefined where it is not installed. */
export function versionOf(command: string, pattern: RegExp): string | undefined {
  try {
    return pattern.exec(execFileSync('sh', ['-c', `${command} 2>&1`], { encoding: 'utf8' }))?.[1]
  } catch {
    return undefined
  }
}
