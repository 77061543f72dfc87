// needs: nats-server
/** Two machines on one platform over NATS: changes made at either, what is shared lost and found, names taken. */
import assert from 'node:assert/strict'
import { copyFile, cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { freePorts, startServer } from '#/fabric/nats/server.fixture.ts'
import { type RunningNode, rimward, startNode, temporaryFolder, until } from './support/node.ts'
import { filesWith } from './support/three-countries.ts'

const token = 'the-token-of-the-platform'

interface NodeView {
  readonly node: string
  readonly state: string
  readonly revision: number
  readonly lag: number
  readonly ageMs: number
}

async function startNats(t: TestContext) {
  const folder = await temporaryFolder(t, 'nats')
  const [port] = await freePorts(1)
  const configuration = `port: ${port}\nserver_name: one\njetstream { store_dir: "${join(folder, 'store')}" }\n`
  const start = () => startServer(t, { configuration, folder })
  return { url: `nats://127.0.0.1:${port}`, server: await start(), start }
}

async function startMember(t: TestContext, url: string, pop: string, data: string, more: readonly string[] = []) {
  return startNode(t, { data, args: ['--join', url, '--pops', pop, ...more], env: { RIMWARD_TOKEN: token } })
}

const addSite = (node: RunningNode, name: string) =>
  node.api('/rimward/v1/sites', { method: 'POST', body: JSON.stringify({ name, origin: 'https://origin.test' }) })

const sitesOf = async (node: RunningNode) =>
  ((await (await node.api('/rimward/v1/sites')).json()) as { sites: { name: string }[] }).sites.map(({ name }) => name)

const nodesOf = async (node: RunningNode) =>
  ((await (await node.api('/rimward/v1/pops')).json()) as { pops: NodeView[] }).pops

interface Check {
  readonly ready: boolean
  readonly revision: number
  readonly ageMs: number
  readonly awaySince?: string
}

const checkOf = async (node: RunningNode) => {
  const answer = await node.api('/readyz')
  const { checks } = (await answer.json()) as { checks: Check[] }
  return { status: answer.status, ...checks[0]! }
}

test('two machines share a platform, lose what they share, start without it, and find it again', async (t) => {
  const nats = await startNats(t)
  const [one, two] = [await temporaryFolder(t, 'fra'), await temporaryFolder(t, 'iad')]
  const fra = await startMember(t, nats.url, 'fra:DE', one)
  // Others find it there again, whatever becomes of NATS.
  const mesh = ['--mesh', `127.0.0.1:${(await freePorts(1))[0]}`]
  let iad = await startMember(t, nats.url, 'iad:US', two, mesh)
  assert.equal(fra.accountId, iad.accountId)

  // A change made at either is served at both.
  assert.equal((await addSite(fra, 'first')).status, 201)
  assert.equal((await addSite(iad, 'second')).status, 201)
  for (const node of [fra, iad])
    await until(async () => (await sitesOf(node)).join() === 'first,second', 'both sites are everywhere')
  await until(
    async () =>
      (await nodesOf(fra)).map(({ node, state, lag }) => `${node} ${state} ${lag}`).join() === 'fra up 0,iad up 0',
    'each node says what it serves',
  )

  // A purge is acknowledged by both, over the mesh.
  const purged = await fra.api('/rimward/v1/purge', { method: 'POST', body: JSON.stringify({ everything: true }) })
  const receipt = (await purged.json()) as { acknowledged: { node: string }[]; away: unknown[] }
  assert.deepEqual(receipt.acknowledged.map(({ node }) => node).sort(), ['fra', 'iad'])
  assert.deepEqual(receipt.away, [])

  // A name belongs to one node: another machine in the same place gets one of its own, a copy of a folder none.
  const third = await startMember(t, nats.url, 'fra:DE', await temporaryFolder(t, 'third'))
  await until(
    async () => (await nodesOf(fra)).filter(({ node }) => /^fra-[0-9a-f]{6}$/.test(node)).length === 1,
    'the third machine has a name',
  )
  const twin = await temporaryFolder(t, 'twin')
  await cp(join(one, 'mesh'), join(twin, 'mesh'), { recursive: true })
  await copyFile(join(one, 'secret.key'), join(twin, 'secret.key'))
  await assert.rejects(startMember(t, nats.url, 'fra:DE', twin), /runs? .*already/)
  await third.stop()

  // Files are brought to every node before they are asked for there.
  const place = await temporaryFolder(t, 'files')
  const file = 'a-file-that-nobody-asked-for-91c4'
  await mkdir(join(place, 'public'))
  await writeFile(join(place, 'public', 'page.txt'), file)
  const config = { name: 'files', compatibility_date: '2026-11-01', assets: { directory: 'public' } }
  await writeFile(join(place, 'wrangler.json'), JSON.stringify(config))
  const deployed = await rimward(fra, place, ['deploy'])
  assert.equal(deployed.code, 0, deployed.output)
  await until(async () => (await filesWith(two, file)).length > 0, 'the file is at the other machine')

  // What is shared is lost: both go on, refuse changes, and say since when.
  await nats.server.stop('SIGKILL')
  await until(async () => (await checkOf(iad)).awaySince !== undefined, 'the node has noticed')
  assert.deepEqual((await sitesOf(iad)).toSorted(), ['files', 'first', 'second'])
  const refused = await addSite(iad, 'third')
  assert.equal(refused.status, 503)
  assert.match(await refused.text(), /fabric_away/)
  const away = await checkOf(iad)
  assert.equal(away.status, 200)
  assert.ok(away.ageMs > 0)

  // A node starts and serves from its own disk.
  await iad.stop('SIGKILL')
  iad = await startMember(t, nats.url, 'iad:US', two, mesh)
  assert.deepEqual((await sitesOf(iad)).toSorted(), ['files', 'first', 'second'])
  const answer = await iad.get('first.localhost', '/')
  assert.equal(answer.headers['x-served-by'], 'iad')
  assert.notEqual(answer.status, 404)
  assert.equal((await iad.get('files.localhost', '/page.txt')).text, file)
  const started = await checkOf(iad)
  assert.ok(started.awaySince)
  assert.equal(started.status, 200)
  // Each shows what the other serves, how old that may be, and that it is alive.
  for (const [node, other] of [
    [fra, 'iad'],
    [iad, 'fra'],
  ] as const)
    await until(async () => {
      const seen = (await nodesOf(node)).find((one) => one.node === other)
      return seen?.state === 'away' && seen.revision === started.revision && seen.ageMs > 0
    }, `${other} is seen at the other node`)

  await nats.start()
  await until(async () => (await checkOf(iad)).awaySince === undefined, 'the node has found it again', 30_000)
  await until(async () => (await addSite(fra, 'third')).status === 201, 'changes are taken again', 30_000)
  for (const node of [fra, iad])
    await until(async () => (await sitesOf(node)).includes('third'), 'the change is served everywhere', 30_000)
})
