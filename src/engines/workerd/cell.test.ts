import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { cellSocket, clearLeftovers, startCell } from './cell.ts'
import { createCellClient } from './cell-client.ts'

const run = mkdtempSync(join(tmpdir(), 'rw-'))
after(() => rmSync(run, { recursive: true, force: true }))

function configFor(folder: string, script: string): string {
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "w", worker = (serviceWorkerScript = ${JSON.stringify(script)}, compatibilityDate = "2026-01-01"))],
  sockets = [(name = "web", address = "unix:${cellSocket(folder, 'web')}", http = (), service = "w")]);`
}

const hello = "addEventListener('fetch', (event) => event.respondWith(new Response('hello')))"

test('a cell starts, answers on its socket, leaves no configuration behind, and stops', async () => {
  const folder = join(run, 'a')
  const ends: string[] = []
  const cell = await startCell({ name: 'a', folder, config: configFor(folder, hello), onExit: (why) => ends.push(why) })
  assert.equal(statSync(folder).mode & 0o777, 0o700)
  assert.equal(existsSync(join(folder, 'config.capnp')), false)
  const client = createCellClient(cell.socket('web'), defaultLimits)
  const answer = await client.request({ method: 'GET', path: '/', authority: 'a', headers: [], body: null })
  assert.equal(Buffer.from(answer.body as Uint8Array).toString(), 'hello')
  client.close()
  await cell.stop()
  assert.equal(ends.length, 1)
})

test('a configuration that does not hold is refused with the words of workerd', async () => {
  const folder = join(run, 'b')
  await assert.rejects(startCell({ name: 'b', folder, config: configFor(folder, 'syntax error(') }), (error: Error) => {
    assert.match(error.message, /SyntaxError/)
    return true
  })
})

test('what an earlier run left behind is killed and removed', async () => {
  const left = join(run, 'left')
  const folder = join(left, 'c')
  mkdirSync(left)
  const cell = await startCell({ name: 'c', folder, config: configFor(folder, hello) })
  clearLeftovers(left)
  assert.match(await cell.exited, /SIGKILL/)
  assert.equal(existsSync(folder), false)
})
