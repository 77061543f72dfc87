/** A program made with the vendor's SDK for Rust: backends, streams, caches, stores, and what Rust's own runtime needs. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { textOf } from '#/engines/compute/compute.fixture.ts'
import { linked, openHost } from '#/engines/compute/host.fixture.ts'
import { headerValue } from '#/http/header-list.ts'
import { buildRust } from '../support/build-guest.ts'
import { openBackends, openOrigin } from '../support/compute.ts'

/** A toolchain with the target, or one that is told to build the standard library itself. */
function rustIsThere(): boolean {
  try {
    const args = ['--print', 'sysroot']
    const sysroot = execFileSync(process.env.RUSTC ?? 'rustc', args, { encoding: 'utf8', stdio: 'pipe' }).trim()
    const builds = process.env.CARGO_UNSTABLE_BUILD_STD !== undefined
    return builds || existsSync(join(sysroot, 'lib/rustlib/wasm32-wasip1/lib'))
  } catch {
    return false
  }
}

const skip = rustIsThere() ? false : 'there is no Rust with the target wasm32-wasip1 on this machine'
const limits = { computeCpuMs: 5_000 }

test('Rust: backends, streams and caches', { skip }, async (t) => {
  const stage = await openBackends(t, limits)
  const origin = await openOrigin(t, (request, response) => {
    if (request.url === '/echo') return void request.pipe(response)
    response.end(`${request.url} ${request.headers.host}`)
  })
  const program = stage.add('trusted', await buildRust('rust'), { backends: [origin.backend] })
  const ask = (path: string, more = {}) => stage.ask(program, path, more)
  assert.equal(await textOf(await ask('/')), 'GET from Rust')
  assert.equal(await textOf(await ask('/environment')), 'service-trusted')
  const sent = await ask('/send', { method: 'POST', body: Readable.from([Buffer.from('a body')]) })
  assert.deepEqual([await textOf(sent), headerValue(sent.headers, 'x-by')], ['a body', 'Rust'])
  const streamed = await ask('/stream')
  assert.deepEqual([streamed.status, await textOf(streamed)], [201, 'one two three'])
  const dynamic = await ask('/dynamic', { headers: ['x-target', `127.0.0.1:${origin.port}`] })
  assert.equal(await textOf(dynamic), '/dynamic made.test')
  assert.equal(await textOf(await ask('/cache')), 'kept kept')
  await assert.rejects(ask('/panic'), { code: 'program_exception' })
  assert.equal(await textOf(await ask('/')), 'GET from Rust')
})

test('Rust: stores and logs', { skip }, async (t) => {
  const stage = await openHost(t, { limits })
  const program = stage.add('rust', await buildRust('rust'), linked)
  assert.equal(await textOf(await stage.ask(program, '/stores')), 'by Rust, good day, s3cret')
  assert.equal(await textOf(await stage.ask(program, '/log')), 'logged')
  assert.deepEqual(
    stage.sunk.map(({ message }) => message.trimEnd()),
    ['to the collector'],
  )
  while (!stage.printed.some(({ message }) => message === 'to standard output')) await new Promise(setImmediate)
})
