/** One round of load on a target by `h2load` of nghttp2: HTTP/2 over TLS. */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { LoadResult } from '../load.ts'
import { quantile } from '../statistics.ts'
import type { Target } from '../target.ts'

const run = promisify(execFile)

export interface H2LoadOrder {
  readonly target: Target
  readonly connections: number
  /** Requests under way at once on each connection. */
  readonly streams: number
  /** Whole seconds. */
  readonly seconds: number
}

/** `1.52.0`, or undefined where it is not installed. */
export function h2loadVersion(): string | undefined {
  try {
    return /nghttp2\/(\S+)/.exec(execFileSync('h2load', ['--version'], { encoding: 'utf8' }))?.[1]
  } catch {
    return undefined
  }
}

/** Its report, and the microseconds of each request from its log. */
export function readH2load(report: string, log: string): LoadResult {
  const counts = /(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(report)
  const statuses = /status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx/.exec(report)
  const perSecond = Number(/, ([\d.]+) req\/s/.exec(report)?.[1])
  const [done, , , errored, timeout] = (counts ?? []).slice(1).map(Number)
  const [ok = 0, moved = 0, wrong = 0, broken = 0] = (statuses ?? []).slice(1).map(Number)
  const millis = log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Number(line.split('\t')[2]) / 1000)
  return {
    requests: done ?? 0,
    seconds: (done ?? 0) / perSecond,
    statuses: { '2xx/3xx': ok + moved, ...(wrong + broken > 0 && { other: wrong + broken }) },
    broken: (errored ?? 0) + (timeout ?? 0),
    p50Ms: quantile(millis, 0.5),
    p99Ms: quantile(millis, 0.99),
  }
}

export async function h2load({ target, connections, streams, seconds }: H2LoadOrder): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-h2load-'))
  try {
    const log = join(folder, 'requests.tsv')
    const size = ['-c', String(connections), '-m', String(streams), '-D', String(seconds)]
    const place = ['--connect-to', `${target.host}:${target.port}`, `--log-file=${log}`]
    const url = `https://${target.authorities[0]}${target.path}`
    const { stdout } = await run('h2load', [...size, ...place, url])
    return readH2load(stdout, readFileSync(log, 'utf8'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}
