/** The table of bindings: complete against the vendor's types, and proven in a deployed Worker, case by case. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { elsewhere } from './bindings-table/elsewhere.ts'
import { readDeclarations } from './bindings-table/read-declarations.ts'
import { type Stage, stageExerciser } from './bindings-table/stage.ts'
import { gaps, installedTypes, verdicts } from './bindings-table/type-rows.ts'
import { groups } from './bindings-table/worker/src/groups.js'
import { root, until } from './support/node.ts'

test('every member that workers-types declares of bindings has a row, and every row is of a member', () => {
  assert.deepEqual(gaps(installedTypes()), [])
})

test('a member that is new in a release shows itself, and a row that is of nothing', () => {
  const declared = readDeclarations(`
    /** Said: { not: "a member" }; */
    declare abstract class Bucket<T = { a: 1 }> {
      get(key: string, options?: { range: number }): Promise<T>;
      readonly new?: string;
    }
    type Page = { keys: string[] } & ({ done: true } | { done: false; cursor: string });
    declare namespace Flow { export interface Step { do<T>(name: string): T; } }`)
  const said = verdicts([
    { members: 'Bucket: get; Page: *', state: 'works' },
    { members: 'Bucket: gone', state: 'works' },
  ])
  assert.deepEqual(gaps(declared, said), [
    'Bucket.new has no row',
    'Flow.Step.do has no row',
    'Bucket.gone is not declared',
  ])
  assert.deepEqual(declared.get('Page')?.members, ['keys', 'done', 'cursor'])
})

for (const { members, proof } of elsewhere)
  test(`another test proves ${members.slice(0, 60)}`, () => {
    if ('key' in proof) return
    const source = readFileSync(join(root, 'test', proof.file), 'utf8')
    assert.ok(source.includes(proof.title), `test/${proof.file} has no «${proof.title}»`)
  })

describe('in a deployed Worker', () => {
  let stage: Stage
  before(async () => {
    stage = await stageExerciser()
  })
  after(() => stage?.end())
  const get = (path: string) => stage.node.get('exerciser.localhost', path)

  for (const [group, cases] of Object.entries(groups))
    describe(group, () => {
      let told: readonly string[]
      before(async () => {
        const answer = await get(`/${group}`)
        assert.equal(answer.status, 200, answer.text)
        told = JSON.parse(answer.text)
      })
      for (const [index, { members }] of cases.entries()) test(members, () => assert.equal(told[index], 'ok'))
    })

  test('classes and service-worker syntax are told of messages, classes of traces too', {
    timeout: 60_000,
  }, async () => {
    const kept = async (key: string, wanted: RegExp) => {
      await until(async () => (await get(`/kept?key=${key}`)).text !== '', key, 30_000)
      assert.match((await get(`/kept?key=${key}`)).text, wanted, key)
    }
    await get('/send?to=TO_CLASS&body=one')
    await get('/send?to=TO_SCRIPT&body=two')
    await kept('class:queue', /^exerciser-class one true$/)
    await kept('script:queue', /^exerciser-script two true$/)
    await kept('class:tail', /^exerciser$/)
    assert.equal((await get('/kept?key=script:tail')).text, '')
  })

  test('an object hears of a WebSocket that breaks', { timeout: 60_000 }, async () => {
    const { port } = new URL(stage.node.addresses.http)
    const socket = connect(Number(port), '127.0.0.1')
    const asks = ['GET /socket HTTP/1.1', 'host: exerciser.localhost', 'connection: upgrade', 'upgrade: websocket']
    socket.write(
      [...asks, 'sec-websocket-version: 13', 'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==', '\r\n'].join('\r\n'),
    )
    const [answer] = await once(socket, 'data')
    assert.match(String(answer), /^HTTP\/1\.1 101/)
    // A frame of a kind that RFC 6455 reserves.
    socket.write(Buffer.from([0x83, 0x80, 0, 0, 0, 0]))
    await until(async () => (await get('/kept?key=broken')).text !== '', 'webSocketError was told', 30_000)
    socket.destroy()
  })
})
