/** The real wrangler: versions, gradual deployments, roll-back, secrets. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openProject, type Project, type TestPlatform, testPlatform } from './platform.fixture.ts'

let platform: TestPlatform
let project: Project

before(async () => {
  platform = await testPlatform()
  project = await openProject(platform, {
    'wrangler.json': JSON.stringify({ name: 'shop', main: 'index.js', compatibility_date: '2026-11-01' }),
    'index.js': 'export default { fetch: () => new Response("one") }',
    'secrets.json': JSON.stringify({ A: 'a', B: 'b' }),
  })
})
after(async () => {
  await project.remove()
  await platform.close()
})

async function wrangler(args: string[], stdin?: string): Promise<string> {
  const run = await project.wrangler(args, stdin === undefined ? {} : { stdin })
  assert.equal(run.code, 0, `wrangler ${args.join(' ')}\n${run.stdout}\n${run.stderr}`)
  return run.stdout
}

const rollout = () => platform.control.snapshot.programs.get('shop')!.rollout
const shares = () => rollout().map(({ deployment, percent }) => [deployment.number, percent])
const secretNames = () =>
  rollout()[0]!.deployment.bindings.flatMap((binding) => (binding.kind === 'secret' ? [binding.name] : []))
const latest = () => platform.control.version('shop')

test('versions upload before the first deploy is refused', async () => {
  const run = await project.wrangler(['versions', 'upload'])
  assert.notEqual(run.code, 0)
  assert.deepEqual(platform.control.programs(), [])
})

test('versions upload stores a version that does not serve', async () => {
  await wrangler(['deploy'])
  await project.write('app/index.js', 'export default { fetch: () => new Response("two") }')
  const output = await wrangler(['versions', 'upload', '--tag', 'two', '--message', 'the second'])
  const version = await latest()
  assert.match(output, new RegExp(version.id))
  assert.deepEqual([version.number, version.tag, version.message], [2, 'two', 'the second'])
  assert.deepEqual(shares(), [[1, 100]])
})

test('versions list and view', async () => {
  const { id } = await latest()
  assert.match(await wrangler(['versions', 'list']), new RegExp(`${id}[^]*Tag: +two\n[^]*Message: +the second`))
  assert.match(await wrangler(['versions', 'view', id]), /Handlers: +fetch.*Compatibility Date: +2026-11-01/s)
})

test('versions deploy splits traffic', async () => {
  const [second, first] = platform.control.program('shop').versions
  await wrangler(['versions', 'deploy', `${first}@30%`, `${second}@70%`, '-y', '--message', 'carefully'])
  assert.deepEqual(shares(), [
    [1, 30],
    [2, 70],
  ])
  assert.match(await wrangler(['deployments', 'status']), /Message: +carefully.*\(30%\).*\(70%\)/s)
})

test('rollback goes back to the last version that served alone', async () => {
  const [second, first] = platform.control.program('shop').versions
  await wrangler(['versions', 'deploy', `${second}@100%`, '-y'])
  await wrangler(['rollback', first!, '-y', '--message', 'back again'])
  assert.deepEqual(shares(), [[1, 100]])
  assert.match(await wrangler(['deployments', 'list']), /Source: +Rollback\nMessage: +back again/)
})

test('secret put is refused while the latest version is not deployed', async () => {
  const run = await project.wrangler(['secret', 'put', 'TOKEN'], { stdin: 's3cret' })
  assert.notEqual(run.code, 0)
  assert.match(run.stdout + run.stderr, /latest version of your Worker isn't currently deployed/)
})

test('versions secret put, bulk, list and delete make versions that do not serve', async () => {
  const before = shares()
  await wrangler(['versions', 'secret', 'put', 'TOKEN', '--message', 'a token'], 's3cret')
  assert.equal((await latest()).message, 'a token')
  await wrangler(['versions', 'secret', 'bulk', 'secrets.json'])
  assert.match(await wrangler(['versions', 'secret', 'list', '--latest-version']), /TOKEN/)
  await wrangler(['versions', 'secret', 'delete', 'TOKEN'])
  assert.deepEqual(
    (await latest()).bindings.map(({ name }) => name),
    ['A', 'B'],
  )
  assert.deepEqual(shares(), before)
})

test('deploy keeps secrets; secret put, list, bulk and delete deploy at once', async () => {
  await wrangler(['deploy'])
  assert.deepEqual(secretNames(), ['A', 'B'])
  await wrangler(['secret', 'put', 'TOKEN'], 's3cret')
  assert.deepEqual(secretNames(), ['A', 'B', 'TOKEN'])
  const listed = await wrangler(['secret', 'list'])
  assert.deepEqual(
    JSON.parse(listed).map(({ name }: { name: string }) => name),
    ['A', 'B', 'TOKEN'],
  )
  await wrangler(['secret', 'delete', 'A'])
  await project.write('app/more.json', JSON.stringify({ C: 'c', B: 'changed' }))
  await wrangler(['secret', 'bulk', 'more.json'])
  assert.deepEqual(secretNames().sort(), ['B', 'C', 'TOKEN'])
})

test('secret put for a program that is not there makes a draft', async () => {
  await wrangler(['secret', 'put', 'FIRST', '--name', 'fresh'], 'text')
  const { bindings } = await platform.control.version('fresh')
  assert.deepEqual(
    bindings.map(({ name, kind }) => [name, kind]),
    [['FIRST', 'secret']],
  )
})

test('secrets never leave again, nor lie open in the records', async () => {
  const { body } = await platform.call('GET', `/accounts/${platform.accountId}/workers/scripts/shop/settings`)
  assert.ok(!JSON.stringify(body).includes('s3cret'))
  const records = await platform.fabric.bucket('program-versions').list({ limit: 100 })
  for (const { value } of records) assert.ok(!Buffer.from(value).toString().includes('s3cret'))
  assert.deepEqual(platform.bugs, [])
})
