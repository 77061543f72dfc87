/** The table of bindings: complete against the vendor's types, and proven in a deployed Worker, case by case. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { idlePatterns, keyRows, refusedAs, rowOf } from './bindings-table/configuration-rows.ts'
import {
  declared,
  flows,
  former,
  migrated,
  type Project,
  refusedAlone,
  refusedBase,
  refusedFiles,
  refusedKindsAtOnce,
  script,
  staging,
  unbundled,
} from './bindings-table/configurations.ts'
import { elsewhere } from './bindings-table/elsewhere.ts'
import { ownKeys } from './bindings-table/page.ts'
import { installedSchema, isSet, keysOf } from './bindings-table/read-configuration.ts'
import { readDeclarations } from './bindings-table/read-declarations.ts'
import { deployProject, inParallel, program, type Stage, stageExerciser } from './bindings-table/stage.ts'
import { gaps, installedTypes, verdicts } from './bindings-table/type-rows.ts'
import { groups } from './bindings-table/worker/src/groups.js'
import { root, until, wrangler } from './support/node.ts'

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

test('every key of wrangler’s schema has a row, and every row is of a key', () => {
  const keys = new Set(ownKeys())
  assert.deepEqual(
    [...keys].filter((key) => rowOf(key) === undefined),
    [],
  )
  assert.deepEqual(idlePatterns(keys), [])
  assert.deepEqual(
    [...keysOf(installedSchema(), 'RawEnvironment')].filter((key) => rowOf(key) === undefined),
    [],
  )
  const later = keysOf({ definitions: { RawConfig: { properties: { a: { items: { properties: { b: {} } } } } } } })
  assert.deepEqual([...later], ['a', 'a[].b'])
  assert.equal(rowOf('a[].b'), undefined)
  assert.deepEqual([isSet({ a: [{}, { b: false }] }, 'a[].b'), isSet({ a: [{ c: 1 }] }, 'a[].b')], [true, false])
})

for (const { keys, proof } of keyRows)
  if (proof !== undefined && proof !== 'unset')
    test(`another test sets ${keys.slice(0, 60)}`, () => {
      assert.ok(readFileSync(join(root, 'test', proof.file), 'utf8').includes(proof.title))
    })

for (const { members, proof } of elsewhere)
  test(`another test proves ${members.slice(0, 60)}`, () => {
    if ('key' in proof) return assert.equal(rowOf(proof.key)?.state, 'refused')
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
    const listens = program(`addEventListener('tail', () => {})`, [], 'script')
    const path = `/client/v4/accounts/${stage.node.accountId}/workers/scripts/listens`
    const refused = await stage.node.api(path, { method: 'PUT', body: listens })
    assert.match(await refused.text(), /in service-worker syntax is not told of tail events: export tail\(\)/)
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
    await until(
      async () => (await get('/kept?key=trace:websocket-error')).text !== '',
      'its tail Worker was told',
      30_000,
    )
    socket.destroy()
  })

  test('commands of wrangler about what is bound, which no other story runs', { timeout: 120_000 }, async () => {
    const { hyperdrive, secrets_store_secrets: secrets } = stage.config as Record<
      string,
      { id: string; store_id: string }[]
    >
    const [server, store] = [hyperdrive![0]!.id, secrets![0]!.store_id]
    const commands: [words: string, says: RegExp][] = [
      [`hyperdrive get ${server}`, /"database": "shop"/],
      [`hyperdrive update ${server} --name renamed`, /renamed/],
      ['mtls-certificate list', /Name: table/],
      ['cert list', /Name: table/],
      ['dispatch-namespace get table', /table/],
      ['secrets-store store list --remote', new RegExp(store)],
      [`secrets-store secret list ${store} --remote`, /SHARED/],
      ['queues list', /exerciser-script/],
      ['queues consumer worker remove exerciser-class exerciser-class', /Removed consumer/],
      ['d1 info exerciser-data', /exerciser-data/],
      ['workflows instances list exerciser-flow', /Completed/],
    ]
    await inParallel(commands, 3, async ([words, says]) => {
      const ran = await wrangler(stage.node, stage.folder, words.split(' '), { mayFail: true })
      assert.match(ran.output, says, words)
      assert.equal(ran.code, 0, ran.output)
    })
  })

  describe('wrangler’s configuration', { timeout: 300_000 }, () => {
    const configurations: unknown[] = []
    const refusals: unknown[] = []
    const deployed = async (project: Project, ...steps: Project[]) => {
      for (const one of [project, ...steps]) {
        await deployProject(stage, one)
        const { env, ...top } = one.config as { env?: { staging: object } }
        configurations.push({ ...top, env, ...env?.staging })
      }
    }
    const answers = async (name: string, path = '/') => (await stage.node.get(`${name}.localhost`, path)).text

    test('keys of a module Worker, in an environment', async () => {
      await deployed(staging)
      assert.equal(await answers('keys-of-staging'), 'defined words of a module text part')
    })
    test('a bundle of one’s own, files below a path', async () => {
      await deployed(unbundled)
      assert.equal((await stage.node.get('route.example', '/docs/page')).text, 'a page')
      assert.equal((await stage.node.get('route.example', '/')).text, 'as it is')
    })
    test('parts of service-worker syntax', async () => {
      await deployed(script)
      assert.equal(await answers('keys-script'), 'text4true')
    })
    test('what came before assets', async () => {
      await deployed(former)
      assert.equal(await answers('keys-former'), 'former')
    })
    test('classes of objects, by migrations and by exports', async () => {
      await Promise.all([deployed(...migrated), deployed(...declared)])
      assert.deepEqual([await answers('keys-objects'), await answers('keys-exports')], ['objects', 'objects'])
    })
    test('workflows, bound and by exports', async () => {
      await deployed(flows)
      assert.equal(await answers('keys-flows'), 'flows')
    })
    test('what is refused is named, and nothing of it serves', async () => {
      configurations.push(stage.config)
      await inParallel([refusedKindsAtOnce, ...refusedAlone], 3, async ({ config, says }, index) => {
        const name = `keys-refused-${index}`
        const ran = await deployProject(
          stage,
          { name, files: refusedFiles, config: { ...refusedBase, name, ...config } },
          true,
        )
        assert.notEqual(ran.code, 0, ran.output)
        for (const words of says) assert.match(ran.output.replace(/\s+/g, ' '), words)
        refusals.push(config)
      })
    })
    test('every key was set in one of these', () => {
      const unseen = ownKeys().filter((key) => {
        const row = rowOf(key)!
        if (row.proof !== undefined) return false
        if (row.state !== 'refused') return !configurations.some((one) => isSet(one, key))
        // What is refused as a whole is refused with all that can be below it.
        return !refusals.some((one) => isSet(one, key) || isSet(one, refusedAs(key, row)))
      })
      assert.deepEqual(unseen, [])
    })
  })
})
