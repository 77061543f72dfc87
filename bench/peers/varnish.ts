/** Varnish in front of an origin, and its logger beside it, which writes the access log to a file. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launch, type Peer, type Target } from '../target.ts'
import { authorities, freePort, type KeptPage, startPageOrigin, untilWarm } from './kept-page.ts'
import type { RunningCache } from './nginx.ts'

/** Undefined where Varnish is not installed. */
export function varnishCache(page: KeptPage): Peer | undefined {
  return version === undefined ? undefined : { name: 'Varnish', version, start: () => start(page) }
}

/** In front of an origin on this machine. */
export async function launchVarnish(originPort: number): Promise<RunningCache> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-varnish-'))
  const port = await freePort()
  const work = join(folder, 'work')
  // The logger is the daemon's child, so that the CPU of both is counted.
  const command = `varnishncsa -t off -n "$1" -w "$2" & exec varnishd -F -n "$1" -a "$3" -b "$4" -s malloc,256m`
  const places = [work, join(folder, 'access.log'), `127.0.0.1:${port}`, `127.0.0.1:${originPort}`]
  const running = launch('sh', ['-c', command, 'varnish', ...places])
  return {
    port,
    pid: running.child.pid!,
    async stop() {
      await running.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function start(page: KeptPage): Promise<Target> {
  const origin = await startPageOrigin(page)
  const { port, pid, stop } = await launchVarnish(origin.port)
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

function readVersion(): string | undefined {
  try {
    return /varnish-(\S+)/.exec(execFileSync('sh', ['-c', 'varnishd -V 2>&1'], { encoding: 'utf8' }))?.[1]
  } catch {
    return undefined
  }
}

/** Undefined where it is not installed. */
export const version = readVersion()
