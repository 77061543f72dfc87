/** A program of the vendor's SDK on a running node, deployed with our CLI: its stores, counters, facts and logs. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { buildScript } from '../support/build-guest.ts'
import { rimward, startNode, until } from '../support/node.ts'
import { writeProject } from '../support/project.ts'

const manifest = `manifest_version = 3
name = "data"
language = "javascript"

[local_server.config_stores.settings]
format = "inline-toml"
[local_server.config_stores.settings.contents]
greeting = "good day"

[local_server.dictionaries.colours]
format = "inline-toml"
[local_server.dictionaries.colours.contents]
sky = "blue"

[[local_server.secret_stores.vault]]
key = "token"
data = "s3cret"

[[local_server.kv_stores.things]]
key = "first"
data = "from the manifest"
`

test('stores, counters, facts and logs of a deployed program', { timeout: 120_000 }, async (t) => {
  const node = await startNode(t, {})
  const folder = await writeProject(t, 'data', {
    'fastly.toml': manifest,
    'bin/main.wasm': await buildScript('data.js'),
  })
  // Facts of devices are the operator's.
  writeFileSync(join(node.data, 'devices.json'), '{"Phone/1":{"device":{"name":"Phone"}}}')
  const deployed = await rimward(node, folder, ['deploy'])
  assert.equal(deployed.code, 0, deployed.output)
  const ask = async (path: string): Promise<unknown> => {
    const { status, text } = await node.get('data.localhost', path)
    assert.equal(status, 200, `${path}: ${text}`)
    return JSON.parse(text)
  }
  assert.deepEqual(await ask('/config'), ['good day', null, 'blue'])
  assert.deepEqual(await ask('/secret'), ['s3cret', true, 'hi'])
  const kv = (await ask('/kv')) as Record<string, unknown>
  assert.deepEqual([kv.value, kv.metadata, kv.appended, kv.gone], ['good day', 'from js', 'good day to you', null])
  const { before, after, boxed } = (await ask('/rate')) as Record<string, unknown>
  assert.deepEqual([before, after, boxed], [false, true, [true, true, false]])
  assert.deepEqual(await ask('/geo'), ['US', 'united states', 0, '?'])
  assert.equal(await ask('/log'), 'logged')
  const log = () => readFileSync(join(node.data, 'log/rimward.jsonl'), 'utf8')
  await until(
    () => ['to standard output', 'to the log', 'to the collector'].every((line) => log().includes(line)),
    'the log says what the program wrote',
  )

  // What programs wrote outlives the node, counters do not; files of facts are read at its start.
  await node.stop()
  const again = await startNode(t, { data: node.data })
  const devices = await again.get('data.localhost', '/device')
  assert.deepEqual(JSON.parse(devices.text), ['Phone', null])
  const config = await again.get('data.localhost', '/config')
  assert.equal(config.text, '["good day",null,"blue"]')
})
