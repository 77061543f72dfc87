/** What developers run on their machines today: Miniflare and `wrangler dev`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compatibilityDate, helloSource } from '../programs.ts'
import { launch, type Peer } from '../target.ts'

const require = createRequire(import.meta.url)
const versionOf = (name: string): string => (require(`${name}/package.json`) as { version: string }).version

export const miniflare: Peer = {
  name: 'miniflare',
  version: versionOf('miniflare'),
  async start() {
    const running = launch(process.execPath, [fileURLToPath(new URL('miniflare-process.ts', import.meta.url))])
    const [, port] = await running.until(/listening (\d+)/)
    const target = { host: '127.0.0.1', port: Number(port), authorities: ['hello.localhost'], path: '/' }
    return { ...target, pid: running.child.pid!, stop: running.stop }
  },
}

/** wrangler takes no port 0: one that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

export const wranglerDev: Peer = {
  name: 'wrangler dev',
  version: versionOf('wrangler'),
  async start() {
    const folder = mkdtempSync(join(tmpdir(), 'bench-wrangler-'))
    writeFileSync(join(folder, 'index.js'), helloSource)
    writeFileSync(
      join(folder, 'wrangler.json'),
      JSON.stringify({ name: 'hello', main: 'index.js', compatibility_date: compatibilityDate }),
    )
    const port = await freePort()
    const bin = join(require.resolve('wrangler/package.json'), '../bin/wrangler.js')
    const args = [bin, 'dev', '--ip', '127.0.0.1', '--port', String(port), '--inspector-port', String(await freePort())]
    const env = { CI: 'true', WRANGLER_SEND_METRICS: 'false', WRANGLER_LOG: 'error' }
    const running = launch(process.execPath, [...args, '--show-interactive-dev-session=false'], { cwd: folder, env })
    const deadline = Date.now() + 60_000
    while (
      !(await fetch(`http://127.0.0.1:${port}/`).then(
        (answer) => answer.ok,
        () => false,
      ))
    ) {
      if (Date.now() > deadline) throw new Error('wrangler dev did not answer within 60 s')
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    return {
      host: '127.0.0.1',
      port,
      authorities: [`127.0.0.1:${port}`],
      path: '/',
      pid: running.child.pid!,
      async stop() {
        await running.stop()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  },
}
