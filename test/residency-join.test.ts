// needs: nats-server
/** Two machines on one platform over NATS: a store leaves the disk of the one that may not have it, and the audit asks both. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { freePorts, startServer } from '#/fabric/nats/server.fixture.ts'
import { startNode, temporaryFolder, until } from './support/node.ts'
import { filesWith } from './support/three-countries.ts'

const marker = 'marker-of-an-item-0b7d'

interface Report {
  readonly clean: boolean
  readonly nodes: readonly { readonly node: string }[]
  readonly streams: readonly { readonly stream: string; readonly within?: readonly string[] }[]
  readonly holdings: readonly { readonly node: string; readonly id: string; readonly place: string }[]
}

test('a config store lies with the machine in its country only', async (t) => {
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
  const [fra, iad] = [await start(one, 'fra:DE'), await start(two, 'iad:US')]

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
  const refused = await iad.api(`${path}/${id}/items`)
  assert.equal(refused.status, 451)
  assert.match(await refused.text(), /settings.*stays in DE/)

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
