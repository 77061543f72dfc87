/** Our front alone, on either reader: it answers 1 KB with validators from what it holds. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { launch, type Peer, type Target } from '../target.ts'
import { authorities, smallPage } from './kept-page.ts'

const processFile = fileURLToPath(new URL('front-process.ts', import.meta.url))

function rimward(parser: 'fast' | 'node'): () => Promise<Target> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bench-front-'))
    const args = [processFile, '--parser', parser, '--log', join(folder, 'log.jsonl')]
    const running = launch(process.execPath, ['--disable-warning=ExperimentalWarning', ...args])
    const [line] = await running.until(/^\{.*\}$/m)
    const { http } = JSON.parse(line) as { http: { port: number } }
    return {
      host: '127.0.0.1',
      port: http.port,
      authorities,
      path: smallPage.path,
      pid: running.child.pid!,
      async stop() {
        await running.stop()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  }
}

const version = process.versions.node
export const frontFast: Peer = { name: 'rimward, front', version, start: rimward('fast') }
export const frontNode: Peer = { name: 'rimward, front on node:http alone', version, start: rimward('node') }
