/** A page of 1 KB among the static assets of a program, beside Miniflare. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAssetHash } from '#/control/assets-content.ts'
import { type BoundProgram, miniflareVersion, startBoth } from '../peers/bound-programs.ts'
import type { Node } from '../peers/rimward.ts'
import type { BenchRow } from '../row.ts'
import { howMeasured, measureOperations } from './operations.ts'

const page = Buffer.from('<!doctype html>'.padEnd(1000, 'x'))

/** As wrangler does: a manifest, then what is missing. */
async function upload(node: Node): Promise<object> {
  const content = createAssetHash('html')
  content.update(page)
  const hash = content.digest()
  const manifest = { '/page.html': { hash, size: page.length } }
  const path = '/workers/scripts/pages/assets-upload-session'
  const session = await node.call<{ jwt: string }>('POST', path, { manifest })
  const form = new FormData()
  form.append(hash, new File([page.toString('base64')], hash, { type: 'text/html' }), hash)
  const { jwt } = await node.call<{ jwt: string }>('POST', '/workers/assets/upload?base64=true', form, session.jwt)
  return { assets: { jwt, config: {} } }
}

export const assetsRow: BenchRow = {
  name: 'assets',
  versions: { miniflare: miniflareVersion },
  async run(options) {
    const folder = mkdtempSync(join(tmpdir(), 'bench-assets-'))
    writeFileSync(join(folder, 'page.html'), page)
    const program: BoundProgram = { name: 'pages', miniflare: { assets: { directory: folder } }, make: upload }
    const contestants = await startBoth(program)
    try {
      const measured = await measureOperations(contestants, [{ name: 'a page of 1 KB', path: '/page' }], options)
      const { heading, rows, failures } = measured
      const how = `Assets without a Worker; ${howMeasured(options)}`
      return { title: 'Static assets: a hit', how, heading, rows, failures }
    } finally {
      await Promise.all(contestants.map(({ target }) => target.stop()))
      rmSync(folder, { recursive: true, force: true })
    }
  },
}
