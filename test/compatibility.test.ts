/**
 * The compatibility page, proven row by row: real wrangler, real workerd, one node.
 */
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse } from 'jsonc-parser'
import { front } from './compatibility/front-stories.ts'
import { areas, compatibilityPage, type Proof, type Row } from './compatibility/rows.ts'
import type { Site } from './compatibility/site.ts'
import { stories as others } from './compatibility/stories.ts'
import { type RunningNode, root, startNode, temporaryFolder, wrangler } from './support/node.ts'

const stories = { ...others, ...front }
const source = join(root, 'test/compatibility')

test('docs/compatibility.md is what the rows say', () => {
  const page = readFileSync(join(root, 'docs/compatibility.md'), 'utf8')
  assert.ok(page === compatibilityPage(), 'the page is behind its rows: npm run docs')
})

let node: RunningNode
let site: Site

/** The Worker of the checks in a folder of its own; without Durable Objects it runs in a shared cell. */
function project(folder: string, name: string, options: { readonly objects: boolean }): string {
  const path = join(folder, name)
  cpSync(join(source, 'worker'), path, { recursive: true })
  const config = parse(readFileSync(join(path, 'wrangler.jsonc'), 'utf8'))
  if (!options.objects) {
    delete config.durable_objects
    delete config.migrations
  }
  config.name = name
  config.services[0].service = name
  writeFileSync(join(path, 'wrangler.jsonc'), JSON.stringify(config))
  return path
}

before(async () => {
  const folder = await temporaryFolder(undefined, 'compatibility')
  node = await startNode(undefined, {})
  const neighbour = join(folder, 'neighbour')
  cpSync(join(source, 'neighbour'), neighbour, { recursive: true })
  const shared = project(folder, 'compat', { objects: false })
  const own = project(folder, 'compat-objects', { objects: true })
  await wrangler(node, neighbour, ['deploy'])
  for (const path of [shared, own]) {
    await wrangler(node, path, ['deploy'])
    await wrangler(node, path, ['secret', 'put', 'TOKEN'], { input: 's3cret' })
  }
  site = { node, folder, shared, own }
})
after(async () => {
  await node?.stop('SIGKILL')
})

for (const area of areas)
  describe(area.title, () => {
    for (const row of area.rows) test(row.feature, { timeout: 120_000 }, () => prove(row))
  })

async function prove(row: Row): Promise<void> {
  const { proof } = row
  if ('check' in proof) {
    for (const host of proof.cells === 'own' ? ['compat-objects'] : ['compat', 'compat-objects']) {
      const answer = await node.get(`${host}.localhost`, `/check/${proof.check}`)
      assert.equal(answer.text, 'ok', `${host}: ${answer.status} ${answer.text}`)
    }
  } else if ('config' in proof) {
    await refuses(row.feature, proof)
  } else if ('wrangler' in proof) {
    const ran = await wrangler(node, site.shared, proof.wrangler, {
      mayFail: true,
      ...(proof.input === undefined ? {} : { input: proof.input }),
    })
    assert.match(ran.output, proof.says)
    assert.equal(ran.code === 0, proof.fails !== true, ran.output)
  } else if ('file' in proof) {
    const source = readFileSync(join(root, 'test', proof.file), 'utf8')
    assert.ok(source.includes(`test('${proof.title}'`), `test/${proof.file} has no test named ${proof.title}`)
  } else {
    const story = stories[proof.story]
    assert.ok(story, `no story named ${proof.story}`)
    await story(site)
  }
}

/** Deploys a Worker with this configuration; it must fail, and nothing of it may serve unless its upload was another call. */
async function refuses(feature: string, proof: Extract<Proof, { readonly config: object }>): Promise<void> {
  const { config, says, uploaded } = proof
  const name = `refused-${feature.toLowerCase().replace(/[^a-z]+/g, '-')}`
  const path = join(site.folder, name)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'index.js'), `export default { fetch() { return new Response('no') } }`)
  writeFileSync(
    join(path, 'wrangler.jsonc'),
    JSON.stringify({ name, main: 'index.js', compatibility_date: '2026-10-01', ...config }),
  )
  const ran = await wrangler(node, path, ['deploy'], { mayFail: true })
  assert.notEqual(ran.code, 0, ran.output)
  assert.match(ran.output, says)
  assert.equal((await node.get(`${name}.localhost`, '/')).status, uploaded ? 200 : 404)
}
