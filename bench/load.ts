/** One round of load on a target, by `wrk` where it is installed, else by our own generator. */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface LoadOrder {
  readonly host: string
  readonly port: number
  readonly authorities: readonly string[]
  readonly path: string
  readonly connections: number
  readonly seconds: number
}

export interface LoadResult {
  readonly requests: number
  readonly seconds: number
  /** How often each status came. */
  readonly statuses: Readonly<Record<string, number>>
  /** Connections that broke with a request under way. */
  readonly broken: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export type Generator = 'wrk' | 'own'

export function findGenerator(): Generator {
  try {
    execFileSync('sh', ['-c', 'command -v wrk'], { stdio: 'ignore' })
    return 'wrk'
  } catch {
    return 'own'
  }
}

const milliseconds = (text: string | undefined): number => {
  const match = /^([\d.]+)(us|ms|s)$/.exec(text ?? '')
  return match ? Number(match[1]) * { us: 0.001, ms: 1, s: 1000 }[match[2] as 'us' | 'ms' | 's'] : Number.NaN
}

/** wrk's report as a result; it counts statuses of 400 and above only as a sum. */
export function readWrk(text: string): LoadResult {
  const requests = Number(/(\d+) requests in/.exec(text)?.[1] ?? 0)
  const seconds = milliseconds(/requests in ([\d.]+\w+),/.exec(text)?.[1]) / 1000
  const bad = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0)
  const errors = /connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)
  const broken = errors ? errors.slice(1).reduce((sum, count) => sum + Number(count), 0) : 0
  const statuses = { '2xx/3xx': requests - bad, ...(bad > 0 && { other: bad }) }
  const at = (part: string): number => milliseconds(new RegExp(`${part}%\\s+(\\S+)`).exec(text)?.[1])
  return { requests, seconds, statuses, broken, p50Ms: at('50'), p99Ms: at('99') }
}

/** A script that sends the Host headers in turn; used for one host too, so that every target costs wrk the same. */
function scriptOf({ authorities, path }: LoadOrder): string {
  const hosts = authorities.map((authority) => JSON.stringify(authority)).join(', ')
  return `local requests, turn = {}, 0
function init()
  for _, host in ipairs({ ${hosts} }) do
    requests[#requests + 1] = wrk.format('GET', ${JSON.stringify(path)}, { Host = host })
  end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
`
}

async function wrk(order: LoadOrder): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-wrk-'))
  try {
    const script = join(folder, 'hosts.lua')
    writeFileSync(script, scriptOf(order))
    const url = `http://${order.host}:${order.port}`
    const args = ['--latency', '-t1', `-c${order.connections}`, `-d${order.seconds}s`, '-s', script, url]
    return readWrk((await run('wrk', args)).stdout)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const generatorFile = fileURLToPath(new URL('load-process.ts', import.meta.url))

async function own(order: LoadOrder): Promise<LoadResult> {
  const { stdout } = await run(process.execPath, [generatorFile, JSON.stringify(order)])
  return JSON.parse(stdout) as LoadResult
}

/** wrk knows whole seconds only; anything else is ours. */
export function load(order: LoadOrder, generator: Generator): Promise<LoadResult> {
  return generator === 'wrk' && Number.isInteger(order.seconds) ? wrk(order) : own(order)
}

/** What is wrong with a round, in words; undefined when every answer was good. */
export function badAnswers(result: LoadResult): string | undefined {
  const bad = Object.entries(result.statuses).filter(([status]) => !/^[23]/.test(status))
  if (bad.length > 0) return bad.map(([status, count]) => `${count} × ${status}`).join(', ')
  if (result.broken > 0) return `${result.broken} broken connections`
  return result.requests === 0 ? 'no answer' : undefined
}
