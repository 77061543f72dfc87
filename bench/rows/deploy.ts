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

const require = createRequire(import.meta.url)
const bin = join(require.resolve('wrangler/package.json'), '../bin/wrangler.js')
const { version } = require('wrangler/package.json') as { version: string }
const runs = 5
const deploysUnderLoad = 50

const source = (text: string): string => `export default { fetch() { return new Response(${JSON.stringify(text)}) } }\n`

async function wrangler(folder: string, env: Record<string, string>, args: string[]): Promise<number> {
  const startedAt = performance.now()
  await promisify(execFile)(process.execPath, [bin, 'deploy', ...args], {
    cwd: folder,
    env: { ...process.env, ...env, CI: 'true' },
  })
  return performance.now() - startedAt
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

/** Milliseconds of a whole deploy until the new text answers, and those of a dry run. */
async function timeWrangler(node: Node): Promise<{ whole: number[]; alone: number[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-deploy-'))
  const config = { name: 'deployed', main: 'index.js', compatibility_date: compatibilityDate }
  writeFileSync(join(folder, 'wrangler.json'), JSON.stringify(config))
  const whole: number[] = []
  const alone: number[] = []
  try {
    for (let run = 0; run < runs; run += 1) {
      writeFileSync(join(folder, 'index.js'), source(`run ${run} `))
      alone.push(await wrangler(folder, node.env, ['--dry-run']))
      const startedAt = performance.now()
      const [good] = await Promise.all([answered(node, `run ${run} `), wrangler(folder, node.env, [])])
      whole.push(good - startedAt)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return { whole, alone }
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
      const { whole, alone } = await timeWrangler(node)
      options.progress(`${deploysUnderLoad} deploys under load`)
      const { each, requests, bad } = await deployUnderLoad(node)
      const beyond = median(whole) - median(alone)
      return {
        title: 'Deploys',
        how: `\`wrangler deploy\` until the new text answers, ${runs} times, against a dry run of the same; then ${deploysUnderLoad} deploys through the API while 8 connections ask.`,
        heading: ['', 'result'],
        rows: [
          ['wrangler deploy to first good answer, ms', show(median(whole))],
          ['wrangler deploy --dry-run, ms', show(median(alone))],
          ['beyond wrangler, ms', show(beyond)],
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
