/** One object of 1 GiB, sent to one client: beside nginx, which sends a file of that size, with the memory that it takes. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { accessKeysOf } from '#/core/access-keys.ts'
import { ask, type BoundProgram, startOursWith } from '../peers/bound-programs.ts'
import { launchNginxFiles, version as nginxVersion } from '../peers/nginx.ts'
import { memoryOf } from '../processes.ts'
import type { BenchOptions, BenchRow } from '../row.ts'
import { median, ratio, show } from '../statistics.ts'

const run = promisify(execFile)
const objectBytes = 1024 ** 3
const partBytes = 32 * 1024 ** 2

const source = `
const part = new Uint8Array(${partBytes}).fill(120)
export default {
  async fetch(request, { BUCKET }) {
    const { pathname } = new URL(request.url)
    if (pathname === '/large') return new Response((await BUCKET.get('large')).body)
    const upload = await BUCKET.createMultipartUpload('large')
    const parts = []
    for (let number = 1; number <= ${objectBytes / partBytes}; number++) parts.push(await upload.uploadPart(number, part))
    await upload.complete(parts)
    return new Response('stored')
  },
}
`

const program: BoundProgram = {
  name: 'large',
  source,
  miniflare: {},
  async make(node) {
    await node.call('POST', '/r2/buckets', { name: 'large' })
    return { bindings: [{ type: 'r2_bucket', name: 'BUCKET', bucket_name: 'large' }] }
  },
}

interface Fetched {
  readonly seconds: number
  /** Of all processes of the server. */
  readonly beforeMiB: number
  readonly peakMiB: number
}

interface Contender {
  readonly name: string
  readonly pid: number
  /** For curl. */
  readonly order: readonly string[]
}

/** By curl, which throws it away. */
async function fetchLarge({ pid, order }: Contender): Promise<Fetched> {
  const beforeMiB = memoryOf(pid).pssMiB
  let peakMiB = beforeMiB
  const look = setInterval(() => {
    peakMiB = Math.max(peakMiB, memoryOf(pid).pssMiB)
  }, 250)
  const wanted = '%{http_code} %{size_download} %{time_total}'
  const { stdout } = await run('curl', ['--silent', '--output', '/dev/null', '--write-out', wanted, ...order])
  clearInterval(look)
  const [status, bytes, seconds] = stdout.split(' ').map(Number) as [number, number, number]
  if (status !== 200 || bytes !== objectBytes) throw new Error(`${order.at(-1)}: ${stdout}`)
  return { seconds, beforeMiB, peakMiB }
}

async function writeLarge(file: string): Promise<void> {
  const handle = await open(file, 'w')
  const part = Buffer.alloc(partBytes, 120)
  for (let written = 0; written < objectBytes; written += partBytes) await handle.write(part)
  await handle.datasync()
  await handle.close()
}

async function takeTurns(contenders: readonly Contender[], options: BenchOptions): Promise<Map<string, Fetched[]>> {
  const fetched = new Map<string, Fetched[]>()
  for (let round = 0; round <= options.rounds; round++)
    for (const contender of contenders) {
      options.progress(`${round === 0 ? 'warming' : `round ${round}`}: ${contender.name}`)
      const one = await fetchLarge(contender)
      if (round > 0) fetched.set(contender.name, [...(fetched.get(contender.name) ?? []), one])
    }
  return fetched
}

export const r2Large: BenchRow = {
  name: 'r2-large',
  versions: { nginx: nginxVersion ?? 'none' },
  async run(options) {
    const folder = mkdtempSync(join(tmpdir(), 'bench-large-'))
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
    await writeLarge(join(folder, 'large'))
    const nginx = await launchNginxFiles(folder)
    const ours = await startOursWith(program)
    try {
      await ask(ours, '/')
      const { CLOUDFLARE_API_TOKEN: token = '', FASTLY_API_ENDPOINT: api } = ours.node.env
      const { accessKeyId, secretAccessKey } = accessKeysOf(token)
      const user = ['--user', `${accessKeyId}:${secretAccessKey}`]
      const unsigned = ['--header', 'x-amz-content-sha256: UNSIGNED-PAYLOAD']
      const signed = ['--aws-sigv4', 'aws:amz:auto:s3', ...user, ...unsigned, `${api}/s3/large/large`]
      const contenders: Contender[] = [
        { name: 'nginx', pid: nginx.pid, order: [`http://127.0.0.1:${nginx.port}/large`] },
        {
          name: 'Rimward, a Worker passes it on',
          pid: ours.pid,
          order: ['--header', `Host: ${ours.authorities[0]}`, `http://${ours.host}:${ours.port}/large`],
        },
        { name: 'Rimward, over S3', pid: ours.pid, order: signed },
      ]
      const fetched = await takeTurns(contenders, options)
      const rate = (name: string) => objectBytes / 1024 ** 2 / median(fetched.get(name)!.map(({ seconds }) => seconds))
      const most = (name: string, of: 'beforeMiB' | 'peakMiB') =>
        show(Math.max(...fetched.get(name)!.map((one) => one[of])), 0)
      return {
        title: 'R2: 1 GiB to one client',
        how: `${options.rounds} rounds in alternation after one to warm up, by curl, medians; nginx with sendfile. Memory: the most that all processes together held (PSS) before a round and during one.`,
        heading: ['', 'MiB/s', '× nginx', 'MiB before', 'MiB at most'],
        rows: contenders.map(({ name }) => [
          ...[name, show(rate(name), 0), ratio(rate(name), rate('nginx'))],
          ...[most(name, 'beforeMiB'), most(name, 'peakMiB')],
        ]),
        failures: [],
      }
    } finally {
      await Promise.all([nginx.stop(), ours.stop()])
      rmSync(folder, { recursive: true, force: true })
    }
  },
}
