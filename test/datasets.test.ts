/** Datasets (Analytics Engine): bound by the real wrangler, written by a real Worker, read over the SQL API. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { openDatasetStage } from './datasets/stage.ts'
import { askSteps } from './support/ask-steps.ts'
import { type RunningNode, root, startNode, temporaryFolder, until, wrangler } from './support/node.ts'

let node: RunningNode
let folder: string
before(async () => {
  node = await startNode(undefined)
  folder = await temporaryFolder(undefined, 'datasets')
  await cp(join(root, 'test/datasets/worker.js'), join(folder, 'index.js'))
  await writeFile(join(folder, 'wrangler.json'), JSON.stringify(configuration))
})
after(() => node.stop('SIGKILL'))

const configuration = {
  name: 'shop',
  main: 'index.js',
  compatibility_date: '2026-11-01',
  analytics_engine_datasets: [{ binding: 'AE', dataset: 'visits' }, { binding: 'other' }],
  durable_objects: { bindings: [{ name: 'COUNTER', class_name: 'Counter' }] },
  migrations: [{ tag: 'v1', new_sqlite_classes: ['Counter'] }],
}

const { ask, does } = askSteps(() => node, 'shop.localhost')
const sqlPath = () => `/client/v4/accounts/${node.accountId}/analytics_engine/sql`

async function query(sql: string): Promise<{ status: number; type: string; text: string }> {
  const answer = await node.api(sqlPath(), { method: 'POST', body: sql })
  return { status: answer.status, type: answer.headers.get('content-type') ?? '', text: await answer.text() }
}

async function rows(sql: string): Promise<Record<string, unknown>[]> {
  const { status, text } = await query(sql)
  assert.equal(status, 200, `${sql}: ${text}\n${node.output()}`)
  return (JSON.parse(text) as { data: Record<string, unknown>[] }).data
}

/** Points come a moment after the program was answered. */
async function counted(where: string, many: number): Promise<void> {
  await until(
    async () => Number((await rows(`SELECT count() AS n FROM visits WHERE ${where}`))[0]!.n) >= many,
    where,
    30_000,
  )
  assert.deepEqual(await rows(`SELECT count() AS n FROM visits WHERE ${where}`), [{ n: String(many) }])
}

test('wrangler binds datasets, a Worker writes points, SQL reads them', { timeout: 120_000 }, async () => {
  const { output } = await wrangler(node, folder, ['deploy'])
  assert.match(output, /env\.AE \(visits\)\s+Analytics Engine Dataset/)
  assert.deepEqual(await rows('SHOW TABLES'), [{ dataset: 'visits' }, { dataset: 'other' }])
  assert.deepEqual(await rows('SELECT count() AS n FROM visits'), [{ n: '0' }])
  const points = [
    { blobs: ['Austin', 'US'], doubles: [21.5, 3], indexes: ['a'] },
    { blobs: ['Berlin', 'DE'], doubles: [7.25], indexes: ['b'] },
  ]
  assert.deepEqual(await does('write', { points }), ['undefined', 'undefined'])
  await does('write', { points: points.slice(0, 1), to: 'other' })
  await counted('true', 2)
  assert.deepEqual(
    await rows(
      "SELECT blob1 AS city, double1, double2, index1, dataset, _sample_interval FROM visits WHERE timestamp > NOW() - INTERVAL '1' DAY ORDER BY city",
    ),
    [
      { city: 'Austin', double1: 21.5, double2: 3, index1: 'a', dataset: 'visits', _sample_interval: 1 },
      { city: 'Berlin', double1: 7.25, double2: 0, index1: 'b', dataset: 'visits', _sample_interval: 1 },
    ],
  )
})

test('the real curl asks as the documentation says', { timeout: 60_000 }, async () => {
  const curl = async (...args: string[]) => {
    const common = ['-s', `${node.addresses.api}${sqlPath()}`, '--header', `Authorization: Bearer ${node.token}`]
    return (await promisify(execFile)('curl', [...common, ...args])).stdout
  }
  assert.deepEqual(JSON.parse(await curl('--data', "SELECT 'Hello Workers Analytics Engine' AS message")), {
    meta: [{ name: 'message', type: 'String' }],
    data: [{ message: 'Hello Workers Analytics Engine' }],
    rows: 1,
    rows_before_limit_at_least: 1,
  })
  assert.equal(
    await curl('--data', 'SELECT blob1, double1 FROM visits ORDER BY blob1 FORMAT TabSeparated'),
    'Austin\t21.5\nBerlin\t7.25\n',
  )
  assert.equal(
    await curl('--data', 'SELECT blob2 FROM visits ORDER BY blob2 FORMAT JSONEachRow'),
    '{"blob2":"DE"}\n{"blob2":"US"}\n',
  )
  assert.equal(await curl('-G', '--data-urlencode', 'query=SHOW TIMEZONE FORMAT TabSeparated'), 'Etc/UTC\n')
})

test('many points of one request, those of objects, and values of every kind', { timeout: 120_000 }, async () => {
  assert.equal(await does('many', { count: 250, blob: 'many' }), 250)
  await counted("blob1 = 'many'", 250)
  assert.deepEqual(
    await rows(
      "SELECT index1, sum(double1) AS total, quantileExactWeighted(0.5)(double1, _sample_interval) AS middle FROM visits WHERE blob1 = 'many' GROUP BY index1 ORDER BY index1",
    ),
    [
      { index1: 'i0', total: 10_458, middle: 123 },
      { index1: 'i1', total: 10_292, middle: 124 },
      { index1: 'i2', total: 10_375, middle: 125 },
    ],
  )
  assert.deepEqual([await does('object', { name: 'x' }), await does('object', { name: 'x' })], [1, 2])
  await counted("blob1 = 'object'", 2)
  await does('odd')
  await counted("blob1 = 'odd'", 2)
  assert.deepEqual(
    await rows(
      "SELECT blob2, blob3, blob4, double1, double2, double3, index1 FROM visits WHERE blob1 = 'odd' ORDER BY blob2",
    ),
    [
      { blob2: '7', blob3: 'true', blob4: '', double1: 8, double2: 0, double3: 0, index1: '9' },
      { blob2: 'bytes', blob3: '', blob4: 'bytes', double1: null, double2: null, double3: -0.5, index1: 'bytes' },
    ],
  )
  await counted("blob1 = ''", 2)
})

test('points over the limits throw what the runtime throws at Cloudflare', { timeout: 60_000 }, async () => {
  const cases: [name: string, says: RegExp][] = [
    ['blobs', /^TypeError: writeDataPoint\(\): Maximum of 20 blobs supported\./],
    ['doubles', /^TypeError: writeDataPoint\(\): Maximum of 20 doubles supported\./],
    ['indexes', /^TypeError: writeDataPoint\(\): Maximum of 1 indexes supported\./],
    ['index', /^TypeError: writeDataPoint\(\): Size of indexes\[0\] exceeds 96 bytes/],
    ['bytes', /^TypeError: writeDataPoint\(\): Cumulative size of blobs exceeds 16000 bytes/],
    ['list', /^TypeError: Incorrect type for the 'blobs' field/],
    ['point', /^TypeError: Failed to execute 'writeDataPoint'/],
  ]
  for (const [name, says] of cases) assert.match((await ask('wrong', { name })).error, says)
})

test('queries that cannot be answered say why, and where', { timeout: 60_000 }, async () => {
  const cases: [sql: string, status: number, says: RegExp][] = [
    ['SELECT 1 FROM nowhere', 422, /^Input was invalid: unknown table: nowhere at Line: 1, Column: 15$/],
    [
      'SELECT blob99 FROM visits',
      422,
      /^Input was invalid: unable to find type of column: blob99 at Line: 1, Column: 8$/,
    ],
    ['DELETE FROM visits', 422, /unsupported statement type: DELETE/],
    [
      "SELECT 1 FROM visits WHERE blob1 = 'x' -- ' OR 1 = 1\n; DROP TABLE points",
      422,
      /Expected: end of statement, found: DROP/,
    ],
    ['SELECT blob1 FROM "visits; DROP TABLE points"', 422, /unknown table/],
    [`SELECT ${'1,'.repeat(40_000)}1`, 413, /larger than 65536 bytes/],
  ]
  for (const [sql, status, says] of cases) {
    const answer = await query(sql)
    assert.deepEqual([answer.status, says.test(answer.text)], [status, true], answer.text)
  }
  const stranger = await fetch(`${node.addresses.api}${sqlPath()}`, { method: 'POST', body: 'SHOW TABLES' })
  assert.equal(stranger.status, 403)
  await counted("blob1 = 'many'", 250)
})

test('what was written is there after SIGKILL of the node', { timeout: 120_000 }, async () => {
  await node.stop('SIGKILL')
  node = await startNode(undefined, { data: node.data })
  await counted("blob1 = 'many'", 250)
  await does('write', { points: [{ blobs: ['again'] }] })
  await counted("blob1 = 'again'", 1)
})

test('what a store was told is kept is there after SIGKILL', { timeout: 60_000 }, async (t) => {
  const at = await temporaryFolder(t, 'dataset-store')
  const child = spawn(process.execPath, [join(root, 'test/datasets/write-until-killed.child.ts'), at], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const told = new Map<string, number>()
  let rest = ''
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop()!
    for (const line of lines) told.set(line.split(' ')[0]!, Number(line.split(' ')[1]))
    if ([...told.values()].reduce((sum, many) => sum + many, 0) > 400) child.kill('SIGKILL')
  })
  await new Promise((resolve) => child.once('close', resolve))
  const stage = await openDatasetStage(at)
  t.after(() => stage.close())
  const answer = await stage.calls.query(
    'd',
    'SELECT index1, count() AS n, max(double1) AS most FROM d GROUP BY index1',
  )
  assert.ok('text' in answer)
  const { data } = JSON.parse(answer.text) as { data: { index1: string; n: string; most: number }[] }
  assert.equal(data.length, 4)
  for (const { index1, n, most } of data) {
    assert.ok(most >= told.get(index1)!, `${index1} was told of ${told.get(index1)}, kept ${most}`)
    assert.equal(Number(n), most, 'each once')
  }
})

test('a store forgets what is too old, makes room, bounds queries and erases', { timeout: 60_000 }, async (t) => {
  const at = await temporaryFolder(t, 'dataset-store')
  const stage = await openDatasetStage(at, {
    datasetBytes: 1_000_000,
    datasetSweepMs: 50,
    datasetQueryBytes: 2_000_000,
  })
  t.after(() => stage.close())
  const now = Math.floor(Date.now() / 1000)
  const blob = 'x'.repeat(500)
  const write = async (from: number, many: number) =>
    stage.calls.write(
      'd',
      Array.from({ length: many }, (_, n) => ({ at: now, index: '', blobs: [blob], doubles: [from + n] })),
    )
  const ask = async (sql: string) => {
    const told = await stage.calls.query('d', sql)
    return 'refused' in told ? told.refused : (JSON.parse(told.text) as { data: Record<string, number>[] }).data
  }
  for (let from = 0; from < 5000; from += 500) await write(from, 500)
  const [left] = (await ask('SELECT count() AS n, max(double1) AS last FROM d')) as Record<string, number>[]
  assert.equal(left!.last, 4999)
  assert.ok(Number(left!.n) > 0 && Number(left!.n) < 2000, `${left!.n} are left`)
  assert.match(stage.logged[0]!.message, /a dataset is full/)
  assert.match(
    String(await ask("SELECT format('{} {}', blob1, double1) AS a, count() FROM d GROUP BY a")),
    /holds more than 2000000 bytes/,
  )
  assert.deepEqual(await ask('SELECT count() AS n FROM d WHERE double1 < 0'), [{ n: '0' }])
  stage.ahead = 91 * 86_400_000
  assert.deepEqual(await ask('SELECT count() AS n FROM d'), [{ n: '0' }])
  await until(async () => {
    stage.ahead = 0
    const [{ n } = { n: 1 }] = (await ask('SELECT count() AS n FROM d')) as Record<string, number>[]
    stage.ahead = 91 * 86_400_000
    return Number(n) === 0
  }, 'all are swept')
  assert.deepEqual(await stage.store.held(), ['d'])
  await stage.store.erase('d')
  assert.deepEqual(await stage.store.held(), [])
})
