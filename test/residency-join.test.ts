// needs: nats-server
/** Two machines on one platform over NATS: what stays in a country leaves the disk of the other, and the audit asks both. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { freePorts, startServer } from '#/fabric/nats/server.fixture.ts'
import { get, type RunningNode, rimward, startNode, temporaryFolder, until } from './support/node.ts'
import { filesWith } from './support/three-countries.ts'

const marker = 'marker-of-an-item-0b7d'

interface Report {
  readonly clean: boolean
  readonly nodes: readonly { readonly node: string }[]
  readonly streams: readonly { readonly stream: string; readonly within?: readonly string[] }[]
  readonly holdings: readonly { readonly node: string; readonly id: string; readonly place: string }[]
}

/** A machine in Germany and one in the United States. */
async function startTwo(t: TestContext) {
  const folder = await temporaryFolder(t, 'nats')
  const [port] = await freePorts(1)
  const configuration = `port: ${port}\nserver_name: one\njetstream { store_dir: "${join(folder, 'store')}" }\n`
  await startServer(t, { configuration, folder })
  const [one, two] = [await temporaryFolder(t, 'fra'), await temporaryFolder(t, 'iad')]
  const start = (data: string, pop: string) =>
    startNode(t, {
      data,
      args: ['--join', `nats://127.0.0.1:${port}`, '--pops', pop],
      env: { RIMWARD_TOKEN: 'the-token-of-the-platform' },
    })
  return { one, two, fra: await start(one, 'fra:DE'), iad: await start(two, 'iad:US') }
}

test('code, variables and secrets of a program lie with the machine in its country only', async (t) => {
  const { one, two, fra, iad } = await startTwo(t)
  const place = await temporaryFolder(t, 'apps')
  const [early, late] = ['marker-of-an-early-program-71d0', 'marker-of-a-late-program-c4e9']
  async function deploy(by: RunningNode, name: string, text: string): Promise<void> {
    const main = `export default { fetch: (_, env) => new Response(env.GREETING + ' ${text} ' + env.SECRET) }`
    await writeFile(join(place, 'main.js'), main)
    const vars = { GREETING: `variable-${text}` }
    const config = { name, main: 'main.js', compatibility_date: '2026-11-01', vars }
    await writeFile(join(place, 'wrangler.json'), JSON.stringify(config))
    const { code, output } = await rimward(by, place, ['deploy'])
    assert.equal(code, 0, output)
    const secret = { name: 'SECRET', text: `secret-${text}`, type: 'secret_text' }
    const path = `/client/v4/accounts/${by.accountId}/workers/scripts/${name}/secrets`
    const put = await by.api(path, { method: 'PUT', body: JSON.stringify(secret) })
    assert.equal(put.status, 200, await put.text())
  }
  const answers = async (name: string, text: string) => {
    for (const node of [fra, iad])
      await until(
        async () =>
          (await get(node.addresses.http, `${name}.localhost`, '/')).text === `variable-${text} ${text} secret-${text}`,
        `${name} answers at ${node.addresses.http}`,
      )
  }

  // Placed once it ran in both countries: it goes from one of them.
  await deploy(fra, 'late', late)
  await answers('late', late)
  await until(async () => (await filesWith(two, late)).length > 0, 'it ran in the US')
  const restrict = (name: string) => rimward(iad, place, ['residency', `program:${name}`, 'DE'])
  assert.equal((await restrict('late')).code, 0)
  await until(async () => (await filesWith(two, late)).length === 0, 'nothing of it is left in the US')
  await answers('late', late)

  // By the API in the US, which hands it over.
  assert.equal((await restrict('early')).code, 0)
  await deploy(iad, 'early', early)
  await answers('early', early)
  assert.deepEqual([await filesWith(two, early), await filesWith(two, 'placed-blobs')], [[], []])
  const audit = await rimward(iad, place, ['audit'])
  assert.match(audit.output, /program early +fra \(DE\) +copy\/fabric\.db#placed-blobs@DE.*Nothing lies/s)
  assert.equal(audit.code, 0)

  // Its own copy is enough for a start.
  assert.equal(await fra.stop(), 0)
  assert.deepEqual(await filesWith(one, `secret-${early}`), [])
})

test('a config store lies with the machine in its country only', async (t) => {
  const { one, two, fra, iad } = await startTwo(t)
  const path = '/resources/stores/config'
  const post = (to: string, form: Record<string, string>) =>
    iad.api(to, { method: 'POST', body: new URLSearchParams(form) })
  const { id } = (await (await post(path, { name: 'settings' })).json()) as { id: string }
  assert.equal((await post(`${path}/${id}/item`, { item_key: 'a', item_value: marker })).status, 200)
  for (const data of [one, two])
    await until(async () => (await filesWith(data, marker)).length > 0, 'both have a copy of what may be anywhere')

  const body = JSON.stringify({ name: 'config:settings', within: 'DE' })
  assert.equal((await iad.api('/rimward/v1/residency', { method: 'PUT', body })).status, 200)
  await until(async () => (await filesWith(two, marker)).length === 0, 'nothing of it is left in the US')
  await until(async () => (await fra.api(`${path}/${id}/items`)).status === 200, 'the store is in Germany')
  assert.match(await (await fra.api(`${path}/${id}/items`)).text(), new RegExp(marker))
  // The API in the US hands calls about it over.
  assert.match(await (await iad.api(`${path}/${id}/items`)).text(), new RegExp(marker))
  assert.equal((await post(`${path}/${id}/item`, { item_key: 'b', item_value: `${marker}-b` })).status, 200)
  assert.match(await (await fra.api(`${path}/${id}/items`)).text(), new RegExp(`${marker}-b`))
  assert.deepEqual(await filesWith(two, marker), [])

  // So do calls about a service, whose rules and dictionaries are with no one else.
  const { id: service } = (await (await post('/service', { name: 'edge' })).json()) as { id: string }
  const placed = JSON.stringify({ name: 'service:edge', within: 'DE' })
  assert.equal((await iad.api('/rimward/v1/residency', { method: 'PUT', body: placed })).status, 200)
  const knows = async () => (await (await iad.api('/rimward/v1/residency')).text()).includes(service)
  await until(knows, 'the machine in the US has followed')
  const version = `/service/${service}/version/1`
  await post(`${version}/domain`, { name: 'edge.test' })
  await post(`${version}/backend`, { name: 'o', address: '127.0.0.1', port: '1' })
  const { id: words } = (await (await post(`${version}/dictionary`, { name: 'words' })).json()) as { id: string }
  await post(`/service/${service}/dictionary/${words}/item`, { item_key: 'a', item_value: `${marker}-c` })
  await post(`${version}/response_object`, { name: 'all', status: '200', content: `${marker}-d` })
  const activated = await iad.api(`${version}/activate`, { method: 'PUT' })
  assert.deepEqual([activated.status, activated.headers.get('x-rimward-answered-by')], [200, 'fra'])
  const served = async () => (await get(iad.addresses.http, 'edge.test', '/')).text === `${marker}-d`
  await until(served, 'the machine in the US hands over what it knows no more of than its host')
  assert.deepEqual(await filesWith(two, marker), [])

  // And about a server of Hyperdrive, whose address and password were with both.
  const configs = `/client/v4/accounts/${iad.accountId}/hyperdrive/configs`
  const user = `${marker}-e`
  const origin = { scheme: 'postgres', host: 'db.test', port: 5432, database: 'd', user, password: 'the password' }
  const main = JSON.stringify({ name: 'main', origin })
  const made = (await (await iad.api(configs, { method: 'POST', body: main })).json()) as { result: { id: string } }
  for (const data of [one, two]) await until(async () => (await filesWith(data, user)).length > 0, 'both know its user')
  const there = JSON.stringify({ name: 'hyperdrive:main', within: 'DE' })
  assert.equal((await iad.api('/rimward/v1/residency', { method: 'PUT', body: there })).status, 200)
  await until(async () => (await filesWith(two, user)).length === 0, 'nothing of it is left in the US')
  const shown = await iad.api(`${configs}/${made.result.id}`)
  assert.deepEqual([shown.headers.get('x-rimward-answered-by'), (await shown.text()).includes(user)], ['fra', true])
  const listed = await (await iad.api(configs)).text()
  assert.deepEqual([listed.includes('"main"'), listed.includes(user)], [true, false])

  // A change that Germany has to try first is made there, whoever is asked.
  const canary = { canary: { pop: 'fra', windowMs: 100 } }
  const set = await iad.api('/rimward/v1/rollout', { method: 'PUT', body: JSON.stringify(canary) })
  assert.equal(set.status, 200, await set.text())
  const site = { name: 'shop', origin: 'http://127.0.0.1:1' }
  const added = await iad.api('/rimward/v1/sites', { method: 'POST', body: JSON.stringify(site) })
  assert.ok(added.ok, await added.text())
  assert.equal(added.headers.get('x-rimward-answered-by'), 'fra')

  const report = (await (await iad.api('/rimward/v1/audit')).json()) as Report
  assert.equal(report.clean, true)
  assert.deepEqual(
    report.nodes.map(({ node }) => node),
    ['iad', 'fra'],
  )
  const places = report.holdings.filter((one) => one.id === id).map(({ node, place }) => `${node} ${place}`)
  assert.deepEqual(places, ['fra copy/fabric.db#item-stores@DE'])
  assert.deepEqual(report.streams.find(({ within }) => within !== undefined)?.within, ['DE'])
})
