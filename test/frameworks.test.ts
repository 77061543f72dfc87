/** Sites as frameworks build them: each example is built with its own tool, deployed by the real wrangler and asked. */
import assert from 'node:assert/strict'
import { cpSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type RunningNode, root, run, startNode, temporaryFolder, wrangler } from './support/node.ts'

let node: RunningNode
let folder: string
before(async () => {
  folder = await temporaryFolder(undefined, 'frameworks')
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  node = await startNode(undefined)
})
after(() => node?.stop('SIGKILL'))

interface Example {
  readonly name: string
  /** Below `node_modules/.bin`, with its arguments. */
  readonly build: readonly [tool: string, ...parameters: string[]]
  /** Path, and what the answer says. */
  readonly pages: readonly (readonly [path: string, says: RegExp])[]
  /** Takes what is posted there and says it again. */
  readonly echo: string
}

const examples: readonly Example[] = [
  {
    name: 'sveltekit',
    build: ['vite', 'build'],
    pages: [
      ['/', /<h1>Visit 1<\/h1>/],
      ['/', /<h1>Visit 2<\/h1>/],
    ],
    echo: '/api',
  },
  {
    name: 'astro',
    build: ['astro', 'build'],
    pages: [
      ['/?name=edge', /<h1>Hello edge<\/h1>/],
      ['/about/', /this page is a file/],
    ],
    echo: '/api/said',
  },
  {
    name: 'react-router',
    build: ['react-router', 'build'],
    pages: [['/?name=edge', /<h1>Hello (?:<!-- -->)?edge<\/h1>/]],
    echo: '/said',
  },
]

for (const { name, build, pages, echo } of examples)
  test(`${name}: built as it comes, deployed, asked`, { timeout: 180_000 }, async () => {
    const place = join(folder, name)
    cpSync(join(root, 'examples', name), place, { recursive: true })
    const [tool, ...parameters] = build
    const built = await run(join(root, 'node_modules/.bin', tool), parameters, { cwd: place, env: quiet() })
    assert.equal(built.code, 0, built.output)
    await wrangler(node, place, ['deploy'])
    const host = `${name}.localhost`
    for (const [path, says] of pages) {
      const answer = await node.get(host, path)
      assert.equal(answer.status, 200, answer.text)
      assert.match(answer.text, says)
      assert.match(answer.headers['content-type'] ?? '', /^text\/html/)
    }
    const headers = { origin: `http://${host}`, 'content-type': 'application/json' }
    const said = await node.get(host, echo, { method: 'POST', body: '"hello"', headers })
    assert.deepEqual([said.status, said.text], [200, '{"said":"\\"hello\\""}'])
    assert.equal((await node.get(host, '/nothing/here')).status, 404)
  })

/** No word to anybody outside. */
function quiet(): NodeJS.ProcessEnv {
  return { ...process.env, ASTRO_TELEMETRY_DISABLED: '1', WRANGLER_SEND_METRICS: 'false', CI: 'true' }
}
