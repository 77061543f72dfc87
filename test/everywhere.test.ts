/** `env.EVERYWHERE`: one call at many points of presence, deployed with Cloudflare's own CLI. */
import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { get, rimward, root, startNode, temporaryFolder } from './support/node.ts'
import { openPopsStage } from './support/pops-stage.ts'

test('the example counts visitors of three points of presence without moving them', { timeout: 120_000 }, async (t) => {
  const node = await startNode(t, { args: ['--pops', 'fra:DE,iad:US,nrt:JP'] })
  const { pops } = JSON.parse(await readFile(join(node.data, 'node.json'), 'utf8')) as {
    pops: { id: string; http: string }[]
  }
  const folder = await temporaryFolder(t, 'visitors')
  cpSync(join(root, 'examples/visitors'), folder, { recursive: true })
  const deployed = await rimward(node, folder, ['deploy'])
  assert.equal(deployed.code, 0, deployed.output)
  const visit = (pop: number, visitor: string) =>
    get(pops[pop]!.http, 'visitors.localhost', '/', { headers: { cookie: `id=${visitor}` } })
  for (const [pop, visitor] of [
    [0, 'ann'],
    [0, 'bob'],
    [1, 'bob'],
    [1, 'carol'],
    [1, 'carol'],
    [2, 'dan'],
  ] as const)
    assert.equal((await visit(pop, visitor)).text, `hello from ${pops[pop]!.id.toUpperCase()}\n`)
  for (const { http, id } of pops) {
    const counted = JSON.parse((await get(http, 'visitors.localhost', '/count')).text) as {
      visitors: number
      pops: { pop: string; visitors: number }[]
    }
    assert.equal(counted.visitors, 4)
    assert.equal(counted.pops[0]!.pop, id, 'the nearest comes first')
    assert.deepEqual(Object.fromEntries(counted.pops.map(({ pop, visitors }) => [pop, visitors])), {
      fra: 2,
      iad: 2,
      nrt: 1,
    })
  }
  // The same on a Worker with objects, which runs in a process of its own and asks another program.
  await writeFile(
    join(folder, 'wrangler.json'),
    JSON.stringify({
      name: 'asker',
      main: 'asker.js',
      compatibility_date: '2026-11-01',
      services: [{ binding: 'ALL', service: 'visitors', entrypoint: 'Local', props: { rimward: 'everywhere' } }],
      durable_objects: { bindings: [{ name: 'KEPT', class_name: 'Kept' }] },
      migrations: [{ tag: 'v1', new_sqlite_classes: ['Kept'] }],
    }),
  )
  await writeFile(
    join(folder, 'asker.js'),
    `import { DurableObject } from 'cloudflare:workers'
export class Kept extends DurableObject {
  add() { return this.ctx.storage.kv.put('n', (this.ctx.storage.kv.get('n') ?? 0) + 1), this.ctx.storage.kv.get('n') }
}
export default { async fetch(request, env) {
  if (new URL(request.url).pathname === '/add') return new Response(String(await env.KEPT.getByName('one').add()))
  return Response.json((await env.ALL.map('sketch')).map(({ pop, country, ok, value }) => [pop, country, ok, value.length]))
} }`,
  )
  const second = await rimward(node, folder, ['deploy', '--config', 'wrangler.json'])
  assert.equal(second.code, 0, second.output)
  const [fra, iad, nrt] = pops as [(typeof pops)[0], (typeof pops)[0], (typeof pops)[0]]
  assert.deepEqual(JSON.parse((await get(iad.http, 'asker.localhost', '/')).text), [
    ['iad', 'US', true, 2048],
    ['fra', 'DE', true, 2048],
    ['nrt', 'JP', true, 2048],
  ])
  for (const [index, { http }] of [fra, iad, nrt, fra].entries())
    assert.equal((await get(http, 'asker.localhost', '/add')).text, String(index + 1))
  assert.equal(await node.stop(), 0)
})

const asker = `
import { WorkerEntrypoint } from 'cloudflare:workers'
export class Local extends WorkerEntrypoint {
  echo(...given) { return [...given, this.ctx.props.who ?? null] }
  async slow() { await scheduler.wait(5000) }
  fail() { throw new TypeError('not today') }
}
export default { async fetch(request, env) {
  const { method, given, options } = JSON.parse(decodeURIComponent(new URL(request.url).search.slice(1)))
  try {
    return Response.json(await (method === undefined ? env.ALL.pops(options) : env.ALL.map(method, given, options)))
  } catch (error) { return new Response(error.name + ': ' + error.message, { status: 500 }) }
} }`

test('who fails, is late, away or unknown is told apart; a program goes nowhere where it may not run', async () => {
  const pops = await openPopsStage(['fra:DE', 'iad:US', 'nrt:JP'])
  try {
    const binding = { kind: 'program', name: 'ALL', entrypoint: 'Local' } as const
    const everywhere = (program: string) => ({ ...binding, program, props: '{"rimward":"everywhere","who":"me"}' })
    const modules = { 'main.js': asker }
    await pops.add({ name: 'asker', modules, bindings: [everywhere('asker')] })
    await pops.add({ name: 'german', modules, bindings: [], within: ['DE', 'JP'] })
    await pops.add({ name: 'other', modules, bindings: [everywhere('german')] })
    await pops.add({ name: 'lost', modules, bindings: [everywhere('nobody')] })
    const ask = async (program: string, question: object) => {
      const text = await pops.text('fra', program, `/?${encodeURIComponent(JSON.stringify(question))}`)
      return text.startsWith('[') ? (JSON.parse(text) as { pop: string; ok: boolean; error: string }[]) : text
    }
    const found = async (program: string, question: object) =>
      (
        (await ask(program, question)) as {
          pop: string
          country: string
          ok?: boolean
          value?: unknown
          error?: string
        }[]
      ).map(({ pop, ok, value, error }) => [pop, ok === true ? value : error])
    const me = [1, 'two', 'me']
    assert.deepEqual(await found('asker', { method: 'echo', given: [1, 'two'] }), [
      ['fra', me],
      ['iad', me],
      ['nrt', me],
    ])
    assert.deepEqual(await found('other', { method: 'echo', given: [1, 'two'] }), [
      ['fra', me],
      ['nrt', me],
    ])
    assert.deepEqual(await found('asker', { method: 'echo', given: [1, 'two'], options: { within: 'eu,US' } }), [
      ['fra', me],
      ['iad', me],
    ])
    assert.deepEqual(await found('other', { method: 'echo', given: [], options: { pops: ['nrt', 'iad', 'moon'] } }), [
      ['nrt', ['me']],
      ['iad', 'The program may not run in US. (not_here)'],
      ['moon', 'There is no such point of presence.'],
    ])
    const fails = 'TypeError: not today'
    assert.deepEqual(await found('asker', { method: 'fail' }), [
      ['fra', fails],
      ['iad', fails],
      ['nrt', fails],
    ])
    assert.match(String(await found('asker', { method: 'missing', options: { pops: ['iad'] } })), /does not implement/)
    const begun = performance.now()
    const late = 'No answer within 200 ms.'
    assert.deepEqual(await found('asker', { method: 'slow', options: { timeoutMs: 200 } }), [
      ['fra', late],
      ['iad', late],
      ['nrt', late],
    ])
    assert.ok(performance.now() - begun < 2000)
    pops.meshes.cut('fra', 'iad')
    assert.deepEqual(await found('asker', { method: 'echo', given: [1, 'two'] }), [
      ['fra', me],
      ['iad', 'It cannot be reached now. (peer_away)'],
      ['nrt', me],
    ])
    pops.meshes.heal('fra', 'iad')
    const refused: [string, object, RegExp][] = [
      ['asker', { method: 'fetch' }, /TypeError: EVERYWHERE.map: the first argument/],
      ['asker', { method: 'echo', given: 'x' }, /TypeError: EVERYWHERE.map: the second argument/],
      ['asker', { method: 'echo', options: { timeoutMs: 31_000 } }, /RangeError: .*at most 30000/],
      ['asker', { method: 'echo', options: { where: 'x' } }, /no option "where"/],
      ['asker', { method: 'echo', options: { pops: 'fra' } }, /pops is a list/],
      ['asker', { method: 'echo', options: { within: 'UK' } }, /ISO 3166-1 has GB/],
      ['lost', { method: 'echo' }, /There is no program nobody/],
    ]
    for (const [program, question, why] of refused) assert.match(String(await ask(program, question)), why)
  } finally {
    await pops.close()
  }
})
