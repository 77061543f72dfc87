/**
 * Three points of presence in one process, with round trips between them as over long lines: fra and iad 80 ms, nrt 160 ms from
 * both. Prints one line of JSON when it is ready; its `lines` are a URL that answers with what a bare round trip takes now.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createMemoryMeshes } from '../../src/core/memory-mesh.ts'
import type { Mesh } from '../../src/core/mesh.ts'
import { startPlatform } from '../../src/platform.ts'

const token = 'bench'
const data = mkdtempSync(join(tmpdir(), 'bench-pops-'))
const meshes = createMemoryMeshes()
meshes.delay = (from, to) => wait(from === 'nrt' || to === 'nrt' ? 80 : 40)
const joined: Mesh[] = []
const anywhere = { host: '127.0.0.1', port: 0 }

const platform = await startPlatform({
  ...{ data, token, debug: false, log: 'file', http: anywhere, api: anywhere },
  pops: [
    { id: 'fra', country: 'DE' },
    { id: 'iad', country: 'US' },
    { id: 'nrt', country: 'JP' },
  ],
  meshOf(place) {
    const mesh = meshes.join(place)
    mesh.serve('bench/echo', async ({ body }) => {
      body.resume()
      return {}
    })
    joined.push(mesh)
    return mesh
  },
})

async function roundTrip(node: string): Promise<number> {
  const began = performance.now()
  const { body } = await joined.find(({ self }) => self.node === 'fra')!.ask(node, 'bench/echo')
  body.resume()
  return performance.now() - began
}

const lines = createServer(async (_, response) => {
  const [iad, nrt] = await Promise.all([roundTrip('iad'), roundTrip('nrt')])
  response.end(JSON.stringify({ iad, nrt }))
})
await new Promise<void>((resolve) => lines.listen(0, '127.0.0.1', resolve))
process.once('SIGTERM', async () => {
  lines.close()
  await platform.stop()
  rmSync(data, { recursive: true, force: true })
  process.exit(0)
})
const pops = Object.fromEntries(platform.pops.map(({ id, http }) => [id, http]))
const { port } = lines.address() as AddressInfo
const { accountId, addresses } = platform
console.log(JSON.stringify({ api: addresses.api, lines: `http://127.0.0.1:${port}`, accountId, token, pops }))
