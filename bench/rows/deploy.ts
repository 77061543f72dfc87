/** How long after `wrangler deploy` the new version answers, and whether deploys under load fail requests. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { badAnswers, load } from '../load.ts'
import { requestOnce } from '../one-request.ts'
import { type Node, startNode } from '../peers/rimward.ts'
import { compatibilityDate } from '../programs.ts'
import type { BenchRow } from '../row.ts'
import { median, quantile, show } from '../statistics.ts'
import { busyTime, type Call, openTimingProxy } from '../timing-proxy.ts'

const require = createRequire(import.meta.url)
const bin = join(require.resolve('wrangler/package.json'), '../bin/wrangler.js')
const { version } = require('wrangler/package.json') as { version: string }
const runs = 5
const deploysUnderLoad = 50

const source = (text: string): string => `export default { fetch() { return new Response(${JSON.stringify(text)}) } }\n`

function wrangler(folder: string, env: Record<string, string>): Promise<unknown> {
  const options = { cwd: folder, env: { ...process.env, ...env, CI: 'true' } }
  return promisify(execFile)(process.execPath, [bin, 'deploy'], options)
}

/** Time until the host answers with that text; polled every 5 ms. */
async function answered(node: Node, text: string): Promise<number> {
  const { hostname, port } = node.http
  const wanted = { host: hostname, port: Number(port), authority: 'deployed.localhost', path: '/' }
  const deadline = performance.now() + 60_000
  for (;;) {
    const answer = await requestOnce(wanted).catch(() => undefined)
    if (answer?.body.includes(text)) return performance.now()
    if (performance.now() > deadline) throw new Error(`no answer "${text}" within 60 s`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const deploys = ({ method, path }: Call): boolean =>
  (method === 'PUT' && /\/scripts\/[^/]+$/.test(path.replace(/\?.*/, ''))) ||
  (method === 'POST' && path.endsWith('/deployments'))

/**
 * What a deploy costs beyond wrangler's own work: the time in which it waited for the API up to the call that deploys, and
 * all the time from the end of that call to the first good answer.
 */
function beyondWrangler(calls: readonly Call[], goodAt: number): number {
  const deployedAt = calls.findLast(deploys)?.to
  if (deployedAt === undefined) throw new Error(`wrangler made no call that deploys: ${JSON.stringify(calls)}`)
  return busyTime(calls, deployedAt) + Math.max(0, goodAt - deployedAt)
}

/** Milliseconds of whole deploys until the new text answers, and of their part beyond wrangler. */
async function timeWrangler(node: Node): Promise<{ whole: number[]; beyond: number[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-deploy-'))
  const config = { name: 'deployed', main: 'index.js', compatibility_date: compatibilityDate }
  writeFileSync(join(folder, 'wrangler.json'), JSON.stringify(config))
  const base = new URL(node.env.CLOUDFLARE_API_BASE_URL!)
  const proxy = await openTimingProxy(base)
  const env = { ...node.env, CLOUDFLARE_API_BASE_URL: `${proxy.origin}${base.pathname}` }
  const whole: number[] = []
  const beyond: number[] = []
  try {
    for (let run = 0; run < runs; run += 1) {
      writeFileSync(join(folder, 'index.js'), source(`run ${run} `))
      const startedAt = performance.now()
      const [goodAt] = await Promise.all([answered(node, `run ${run} `), wrangler(folder, env)])
      whole.push(goodAt - startedAt)
      beyond.push(beyondWrangler(proxy.take(), goodAt))
    }
  } finally {
    proxy.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return { whole, beyond }
}

/** Deploys one after the other while 8 connections ask without a pause. */
async function deployUnderLoad(node: Node): Promise<{ each: number[]; requests: number; bad: string | undefined }> {
  const { hostname, port } = node.http
  await node.deploy('busy', source('version 0'))
  const order = { host: hostname, port: Number(port), authorities: ['busy.localhost'], path: '/', connections: 8 }
  const each: number[] = []
  let requests = 0
  let bad: string | undefined
  while (each.length < deploysUnderLoad) {
    const loading = load({ ...order, seconds: 3 }, 'own')
    const until = performance.now() + 2_800
    while (performance.now() < until && each.length < deploysUnderLoad) {
      const startedAt = performance.now()
      await node.deploy('busy', source(`version ${each.length + 1}`))
      each.push(performance.now() - startedAt)
    }
    const result = await loading
    requests += result.requests
    bad ??= badAnswers(result)
  }
  return { each, requests, bad }
}

export const deploy: BenchRow = {
  name: 'deploy',
  versions: { wrangler: version },
  async run(options) {
    const node = await startNode()
    try {
      options.progress(`${runs} × wrangler deploy`)
      const { whole, beyond } = await timeWrangler(node)
      options.progress(`${deploysUnderLoad} deploys under load`)
      const { each, requests, bad } = await deployUnderLoad(node)
      return {
        title: 'Deploys',
        how: `\`wrangler deploy\` until the new text answers, ${runs} times; «beyond» is its waiting for the API until the call that deploys, and all from there to the first good answer. Then ${deploysUnderLoad} deploys through the API while 8 connections ask.`,
        heading: ['', 'result'],
        rows: [
          ['wrangler deploy to first good answer, ms', show(median(whole))],
          ["of which beyond wrangler's own time, ms", show(median(beyond))],
          ['deploy through the API under load, p50 / p90 ms', `${show(median(each))} / ${show(quantile(each, 0.9))}`],
          [`failed of ${requests} requests meanwhile`, bad ?? '0'],
        ],
        failures: bad === undefined ? [] : [`under load: ${bad}`],
      }
    } finally {
      await node.stop()
    }
  },
}
