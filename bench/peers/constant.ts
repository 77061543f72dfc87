/** Node's sockets and nothing else: how far any server in Node can get on this machine. */
import { fileURLToPath } from 'node:url'
import { launch, type Peer } from '../target.ts'
import { authorities, type KeptPage } from './kept-page.ts'

const processFile = fileURLToPath(new URL('constant-process.ts', import.meta.url))

export function constantAnswer(page: KeptPage): Peer {
  return {
    name: 'node net, constant answer',
    version: process.versions.node,
    async start() {
      const running = launch(process.execPath, [processFile, String(page.bytes)])
      const [line] = await running.until(/^\{.*\}$/m)
      const { port } = JSON.parse(line) as { port: number }
      return { host: '127.0.0.1', port, authorities, path: page.path, pid: running.child.pid!, stop: running.stop }
    },
  }
}
