/** An audit of folders that hold what a node's folder holds, and what an erased one holds no more. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { crc32 } from 'node:zlib'
import { judgeHoldings } from '#/core/holdings.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { auditFolder } from './audit-folder.ts'
import { askNodes, serveAudit } from './audit-nodes.ts'
import { auditPlatform } from './audit-platform.ts'
import { eraseLines, erasePurges, eraseSegments } from './erase-away.ts'
import { lookApart } from './look-apart.ts'

async function aFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-audit-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** As `cache/disk/record.ts` lays it out. */
function segmentRecord(scope: string, body: string, file = 0): Buffer {
  const head = Buffer.from(JSON.stringify({ key: `s ${scope}`, scope }))
  const record = Buffer.alloc(28 + head.length + body.length)
  record.writeUInt32BE(0x52574331, 0)
  record.writeUInt32BE(head.length, 8)
  record.writeUInt32BE(body.length, 12)
  record.writeUInt32BE(file, 16)
  record.set(head, 28)
  record.write(body, 28 + head.length)
  record.writeUInt32BE(crc32(record.subarray(8)), 4)
  return record
}

const secret = { bindings: [{ kind: 'secret', sealed: 'v1' }] }
const version = (...bindings: object[]) => JSON.stringify({ bindings })

async function fill(folder: string): Promise<void> {
  for (const name of [
    'fabric/blobs/ab',
    'cache/segments',
    'cache/bodies',
    'log',
    'engine/objects/k1',
    'pops/iad/log',
    'purges',
    'served',
    'sql/5b3c-1',
  ])
    await mkdir(join(folder, name), { recursive: true })
  const database = new DatabaseSync(join(folder, 'fabric/fabric.db'))
  database.exec('CREATE TABLE entries (bucket TEXT, key BLOB, value BLOB)')
  const put = database.prepare('INSERT INTO entries VALUES (?, ?, ?)')
  const hash = `ab${'0'.repeat(62)}`
  const rows: [string, string, string][] = [
    ['kv/s1', 'one', 'value'],
    ['kv/s1', 'two', 'value'],
    ['kv-blobs', `${hash}/s2/large`, '1'],
    ['item-stores', 'secret/s3', '{}'],
    ['programs', 'chat', '{}'],
    ['program-versions', 'chat/1', version({ kind: 'held', as: 'secret', blob: `${'a'.repeat(64)}@DE` })],
    ['program-versions', 'open/1', version({ kind: 'secret', sealed: 'v1' })],
    ['control-log', '1', JSON.stringify({ change: { programs: [{ name: 'open', serving: [secret] }] } })],
    ['placed-blobs@DE', 'a'.repeat(64), '{}'],
    ['placed-blobs@DE', `${'a'.repeat(64)}/000000`, 'x'],
    ['placed-blobs@DE', 'b'.repeat(64), '{}'],
    ['certificates', 'c1', JSON.stringify({ names: ['a.test', 'b.test'], key: 'sealed' })],
    ['certificates', 'c2', JSON.stringify({ names: ['c.test'], keyBlob: `${'c'.repeat(64)}@DE` })],
    ['placed-blobs@DE', 'c'.repeat(64), '{}'],
    ['platform', 'id', 'x'],
  ]
  for (const [bucket, key, value] of rows) put.run(bucket, Buffer.from(key), Buffer.from(value))
  database.close()
  const served = new DatabaseSync(join(folder, 'served/served.db'))
  served.exec('CREATE TABLE parts (kind TEXT, name TEXT, place INTEGER, value TEXT)')
  const program = JSON.stringify({ rollout: [{ deployment: secret }] })
  served.prepare('INSERT INTO parts VALUES (?, ?, ?, ?)').run('program', 'served', 0, program)
  served.close()
  await writeFile(join(folder, 'fabric/blobs/ab', hash), 'x'.repeat(1000))
  await writeFile(join(folder, 'engine/objects/k1/a.sqlite'), 'x'.repeat(10))
  await writeFile(join(folder, 'sql/5b3c-1/database'), 'SQLite')
  await writeFile(join(folder, 'sql/5b3c-1/database-wal'), 'x'.repeat(6))
  const records = [
    segmentRecord('shop', 'body-of-shop'),
    segmentRecord('chat', 'body-of-chat'),
    segmentRecord('shop', '', 7),
  ]
  await writeFile(join(folder, 'cache/segments/1'), Buffer.concat([...records, Buffer.from('torn')]))
  await writeFile(join(folder, 'cache/bodies/7'), 'x'.repeat(500))
  const lines = [
    '{"site":"shop","client":"192.0.2.1","path":"/ö"}',
    '{"level":30,"msg":"ready"}',
    '{"site":"chat","client":"","path":"","handedTo":"fra"}',
    '{"site":"chat","client":"192.0.2.1","path":"/x"}',
  ]
  await writeFile(join(folder, 'log/rimward.jsonl'), `${lines.join('\n')}\n`)
  await writeFile(join(folder, 'pops/iad/log/rimward.jsonl'), lines[0]!)
  const url = { scope: 'shop', what: { kind: 'url', url: 'https://shop.example/ö' }, soft: false }
  const all = { scope: 'shop', what: { kind: 'everything' }, soft: false }
  const purges = [{ self: 'fra~1', applied: {} }, url, ['fra~1', 1, 5, [url, all]]]
  await writeFile(join(folder, 'purges/1.jsonl'), `\n${purges.map((one) => JSON.stringify(one)).join('\n')}\n[torn`)
}

test('every byte is found where it lies', async (t) => {
  const folder = await aFolder(t)
  await fill(folder)
  const { holdings, unread } = await auditFolder(folder, { except: [join(folder, 'pops')] })
  assert.deepEqual(unread, [])
  assert.deepEqual(holdings.map((one) => `${one.kind} ${one.id} ${one.place} ${one.count} ${one.bytes}`).toSorted(), [
    'certificate a.test,b.test fabric/fabric.db#certificates 1 6',
    'certificate c.test fabric/fabric.db#placed-blobs@DE 1 66',
    'objects k1 engine/objects/k1 1 10',
    'program (files, keys, older versions) fabric/fabric.db#placed-blobs@DE 1 66',
    'program chat fabric/fabric.db#placed-blobs@DE 2 138',
    'program open fabric/fabric.db#control-log 1 33',
    'program open fabric/fabric.db#program-versions 1 33',
    'program served served/served.db 1 33',
    'site chat cache 1 71',
    'site chat log/rimward.jsonl 1 49',
    'site shop cache 2 130',
    'site shop cache/bodies 1 500',
    'site shop log/rimward.jsonl 1 50',
    'site shop purges 2 166',
    'store 5b3c-1 sql/5b3c-1 2 12',
    'store s1 fabric/fabric.db#kv 2 16',
    'store s2 fabric/blobs 1 1000',
    'store s2 fabric/fabric.db#kv-blobs 1 74',
    'store s3 fabric/fabric.db#item-stores 1 11',
  ])
})

test('a process of its own finds the same', async (t) => {
  const folder = await aFolder(t)
  await fill(folder)
  const options = { except: [join(folder, 'pops')] }
  const limits = { auditMs: 60_000, auditBytes: 1_000_000 }
  assert.deepEqual(await lookApart(folder, { ...options, limits }), await auditFolder(folder, options))
  await assert.rejects(lookApart(folder, { limits: { ...limits, auditBytes: 10 } }))
})

test('a folder that is not there, and a database that cannot be read, end nothing', async (t) => {
  const folder = await aFolder(t)
  assert.deepEqual(await auditFolder(join(folder, 'nowhere')), { holdings: [], unread: [] })
  await writeFile(join(folder, 'broken.db'), Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(500, 7)]))
  const { unread } = await auditFolder(folder)
  assert.match(unread.join(), /^broken\.db: /)
})

test('what is erased is found no more, and its neighbours are as they were', async (t) => {
  const folder = await aFolder(t)
  await fill(folder)
  const before = await auditFolder(folder)
  await eraseSegments(join(folder, 'cache/segments'), (scope) => scope === 'shop')
  await eraseLines(join(folder, 'log'), (site) => site === 'shop')
  await erasePurges(join(folder, 'purges'), (site) => site === 'shop')
  const after = await auditFolder(folder)
  const gone = before.holdings.filter(
    (one) => !after.holdings.some((other) => other.place === one.place && other.id === one.id),
  )
  assert.deepEqual(gone.map(({ id, place }) => `${id} ${place}`).toSorted(), [
    'shop cache',
    'shop cache/bodies',
    'shop log/rimward.jsonl',
    'shop purges',
  ])
  const purges = await readFile(join(folder, 'purges/1.jsonl'), 'utf8')
  assert.doesNotMatch(purges, /example/)
  assert.match(purges, /\["fra~1",1,5,\[\{"scope":"shop","what":\{"kind":"everything"\},"soft":false\},/)
  assert.equal((await readFile(join(folder, 'cache/segments/1'))).includes('shop'), false)
  assert.equal((await readFile(join(folder, 'log/rimward.jsonl'), 'utf8')).trimStart().split('\n').length, 4)
  assert.ok((await readFile(join(folder, 'cache/segments/1'))).includes('body-of-chat'))
})

test('the key of a certificate is judged by the sites at its names', () => {
  const sites = [{ name: 'shop', hostnames: ['shop.test'], within: ['DE'] }]
  const snapshot = { revision: 1, sites, programs: new Map(), placements: new Map() } as unknown as Snapshot
  const found = (id: string) => ({ kind: 'certificate' as const, id, place: 'copy', count: 1, bytes: 1 })
  const holdings = [found('shop.test,www.test'), found('www.test')]
  const { clean, holdings: judged } = judgeHoldings(
    { ...snapshot, sites: snapshot.sites.map((site) => ({ ...site, routes: [] })) },
    [{ node: 'iad', pop: 'iad', countries: ['US'], holdings, unread: [] }],
    [],
  )
  assert.deepEqual([clean, judged.map(({ allowed }) => allowed)], [false, [false, true]])
})

test('what lies outside of its countries is a violation', () => {
  const snapshot: Snapshot = {
    revision: 1,
    sites: [{ name: 'shop', hostnames: [], routes: [], target: { kind: 'origin', url: 'http://a' }, within: ['DE'] }],
    programs: new Map([
      [
        'chat',
        { name: 'chat', rollout: [], objects: [{ className: 'A', key: 'k1', storage: 'sqlite', within: ['DE'] }] },
      ],
    ]),
    placements: new Map([['s1', ['DE']]]),
  }
  const found = [
    { kind: 'site', id: 'shop' },
    { kind: 'store', id: 's1' },
    { kind: 'store', id: 's2' },
    { kind: 'objects', id: 'k1' },
  ] as const
  const holdings = found.map((one) => ({ ...one, place: 'p', count: 1, bytes: 1 }))
  const node = (name: string, ...countries: string[]) => ({ node: name, pop: name, countries, holdings, unread: [] })
  const report = judgeHoldings(
    snapshot,
    [node('fra', 'DE'), node('iad', 'US'), node('shared', 'DE', 'US')],
    ['nrt: away'],
  )
  const wrong = report.holdings.filter(({ allowed }) => !allowed).map((one) => `${one.node} ${one.id}`)
  const shared = ['shared shop', 'shared s1', 'shared k1']
  assert.deepEqual(wrong, ['iad shop', 'iad s1', 'iad k1', ...shared])
  assert.deepEqual([report.clean, report.unread], [false, ['nrt: away']])
})

test('nodes are asked over the mesh, and those that are away are named', async (t) => {
  const meshes = createMemoryMeshes()
  const [fra, iad] = [
    meshes.join({ node: 'fra', pop: 'fra', country: 'DE' }),
    meshes.join({ node: 'iad', pop: 'iad', country: 'US' }),
  ]
  meshes.join({ node: 'nrt', pop: 'nrt', country: 'JP' })
  meshes.cut('fra', 'nrt')
  const own = { node: 'iad', pop: 'iad', countries: ['US'], holdings: [], unread: [] }
  t.after(serveAudit(iad, async () => own))
  const { nodes, away } = await askNodes(fra, { timeoutMs: 5000 })
  assert.deepEqual(nodes, [own])
  assert.match(away.join(), /^nrt: /)
})

test('the audit of a platform has each node once, also those of this process, and tells of streams', async (t) => {
  const folder = await aFolder(t)
  const meshes = createMemoryMeshes()
  const places = ['fra DE', 'iad US', 'nrt JP'].map((text) => {
    const [node = '', country = ''] = text.split(' ')
    return { node, pop: node, country }
  })
  const pops = places.map((place) => {
    const mesh = meshes.join(place)
    const { node, pop, country } = place
    const audit = async () => ({ node, pop, countries: [country], holdings: [], unread: [] })
    t.after(serveAudit(mesh, audit))
    return { place, mesh, audit }
  })
  const limits = { auditMs: 60_000, auditBytes: 1_000_000 }
  const snapshot: Snapshot = { revision: 1, sites: [], programs: new Map() }
  const told = { stream: 'rimward', tags: ['country:de'], servers: [{ name: 'a' }], bytes: 1, buckets: [] }
  const fabric = {
    streams: async () => [
      { ...told, readable: true },
      { ...told, stream: 'rimward-in-us', readable: false },
    ],
  }
  meshes.cut('fra', 'nrt')
  const own = pops.slice(0, 2)
  const report = await auditPlatform({ folder, pops: own, fabric, snapshot, limits })
  assert.deepEqual(
    report.nodes.map(({ node }) => node),
    ['fra', 'iad', 'shared'],
  )
  assert.deepEqual(
    report.streams?.map(({ stream }) => stream),
    ['rimward'],
  )
  assert.match(report.unread.join('\n'), /^nrt: .*\nThe stream rimward-in-us of NATS/)
  meshes.heal('fra', 'nrt')
  const whole = await auditPlatform({ folder, pops: own, fabric: {}, snapshot, limits })
  assert.deepEqual(
    whole.nodes.map(({ node }) => node),
    ['fra', 'iad', 'nrt', 'shared'],
  )
  assert.deepEqual([whole.streams, whole.unread], [undefined, []])
})
