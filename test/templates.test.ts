/**
 * The first two minutes of a new user: templates of create-cloudflare, deployed with unmodified wrangler.
 */
import assert from 'node:assert/strict'
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type RunningNode, root, startNode, temporaryFolder, until, wrangler } from './support/node.ts'

const templates = join(root, 'node_modules/create-cloudflare/templates')

let node: RunningNode
let folder: string
before(async () => {
  folder = await temporaryFolder(undefined, 'templates')
  node = await startNode(undefined)
})
after(async () => {
  await node?.stop('SIGKILL')
})

/** What create-cloudflare does with a template, without its questions and without installing packages. */
function create(template: string, name: string): string {
  const path = join(folder, name)
  cpSync(join(templates, template), path, { recursive: true })
  for (const file of readdirSync(path))
    if (file.startsWith('__dot__')) renameSync(join(path, file), join(path, file.replace('__dot__', '.')))
  for (const file of ['wrangler.jsonc', 'package.json']) {
    if (!existsSync(join(path, file))) continue
    const text = readFileSync(join(path, file), 'utf8')
    writeFileSync(
      join(path, file),
      text.replaceAll('<WORKER_NAME>', name).replaceAll('<COMPATIBILITY_DATE>', '2026-11-01'),
    )
  }
  return path
}

const cases: readonly { template: string; name: string; path: string; says: RegExp }[] = [
  { template: 'hello-world/js', name: 'hello-js', path: '/', says: /^Hello World!$/ },
  { template: 'hello-world/ts', name: 'hello-ts', path: '/', says: /^Hello World!$/ },
  { template: 'hello-world-assets-only/templates', name: 'files', path: '/', says: /<html/i },
  { template: 'hello-world-with-assets/ts', name: 'files-and-code', path: '/message', says: /Hello, World!/ },
  { template: 'hello-world-durable-object/ts', name: 'object', path: '/', says: /^Hello, world!$/ },
  { template: 'hello-world-durable-object-with-assets/ts', name: 'object-files', path: '/', says: /<html/i },
]

for (const { template, name, path, says } of cases)
  test(`${template} deploys and answers`, { timeout: 60_000 }, async () => {
    const ran = await wrangler(node, create(template, name), ['deploy'])
    assert.match(ran.output, new RegExp(`${name}\\.localhost`))
    const answer = await node.get(`${name}.localhost`, path)
    assert.equal(answer.status, 200, answer.text)
    assert.match(answer.text, says)
  })

test('what was deployed answers within a second after SIGKILL and restart', { timeout: 60_000 }, async (t) => {
  await node.stop('SIGKILL')
  const again = await startNode(t, { data: node.data })
  const ready = Date.now()
  for (const { name, path, says } of cases) {
    const answer = await again.get(`${name}.localhost`, path)
    assert.match(answer.text, says, name)
  }
  t.diagnostic(`up after ${again.startedInMs} ms; all six answered ${Date.now() - ready} ms later`)
  await until(async () => (await again.api('/readyz')).status === 200, 'ready')
})
