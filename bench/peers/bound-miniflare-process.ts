/**
 * Miniflare with one Worker and what it binds, as a process of its own; takes its options as JSON, prints its address. What it
 * keeps lies on the disk. Ends with SIGTERM.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { compatibilityDate } from '../programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'bench-miniflare-'))
const options = { host: '127.0.0.1', port: 0, modules: true, compatibilityDate, resourcePersistencePath: folder }
const miniflare = new Miniflare(convertV4MiniflareOptions({ ...options, ...JSON.parse(process.argv[2]!) }))
const url = await miniflare.ready
process.stdout.write(`listening ${url.port}\n`)
process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
// Its workerd got the signal too, which is no trouble.
process.on('SIGTERM', () =>
  miniflare
    .dispose()
    .catch(() => {})
    .finally(() => process.exit(0)),
)
