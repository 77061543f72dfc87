/** Miniflare with one Worker and a database on the disk, as a process of its own; prints its address. Ends with SIGTERM. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { compatibilityDate } from '../programs.ts'
import { databaseSource } from './database-worker.ts'

const folder = mkdtempSync(join(tmpdir(), 'bench-miniflare-'))
const options = {
  ...{ host: '127.0.0.1', port: 0, modules: true, script: databaseSource, compatibilityDate },
  ...{ resourcePersistencePath: folder, d1Databases: { DB: 'bench' } },
}
const miniflare = new Miniflare(convertV4MiniflareOptions(options))
const url = await miniflare.ready
process.stdout.write(`listening ${url.port}\n`)
process.on('SIGTERM', async () => {
  await miniflare.dispose()
  rmSync(folder, { recursive: true, force: true })
  process.exit(0)
})
