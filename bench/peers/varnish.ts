/** Varnish in front of an origin, and its logger beside it, which writes the access log to a file. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launch, type Peer } from '../target.ts'
import { type RunningCache, startKeptCache, versionOf } from './kept-cache.ts'
import { freePort, type KeptPage } from './kept-page.ts'

/** Undefined where Varnish is not installed. */
export function varnishCache(page: KeptPage): Peer | undefined {
  return version === undefined
    ? undefined
    : { name: 'Varnish', version, start: () => startKeptCache(page, launchVarnish) }
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

/** Undefined where it is not installed. */
export const version = versionOf('varnishd -V', /varnish-(\S+)/)
