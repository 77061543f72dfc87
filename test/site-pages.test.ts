/** What a site says of answers holds for its program and for the platform's own error pages: by the command line, seen by curl. */
// needs: curl
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { startOrigin } from './support/delivery.ts'
import { type RunningNode, rimward, run, startNode, temporaryFolder } from './support/node.ts'

interface Stage {
  readonly node: RunningNode
  readonly folder: string
  /** A `rimward` command, its words between spaces. */
  cli(command: string): Promise<string>
  /** Status, fields in lower case, body. */
  curl(scheme: 'http' | 'https', host: string, path: string): Promise<{ status: number; head: string; body: string }>
}

async function startStage(t: TestContext): Promise<Stage> {
  const folder = await temporaryFolder(t, 'pages')
  const node = await startNode(t, { args: ['--https', '127.0.0.1:0'] })
  return {
    node,
    folder,
    cli: async (command) => (await rimward(node, folder, command.split(' '))).output,
    async curl(scheme, host, path) {
      const { port } = new URL(scheme === 'http' ? node.addresses.http : node.addresses.https!)
      const args = ['-sSi', '--http1.1', '--cacert', join(node.data, 'ca.pem')]
      const url = `${scheme}://${host}:${port}${path}`
      const { output } = await run('curl', [...args, '--resolve', `${host}:${port}:127.0.0.1`, url], {
        cwd: folder,
        env: process.env,
      })
      const end = output.indexOf('\r\n\r\n')
      const head = output.slice(0, end).toLowerCase()
      return { status: Number(head.split(' ')[1]), head, body: output.slice(end + 4) }
    },
  }
}

const program = (text: string) => `export default { fetch(request) {
  if (request.url.endsWith('/broken')) throw new Error('broken')
  return new Response('${text}')
} }`

test('a program’s site gets HTTPS, HSTS, header rules and error pages, and keeps them over deploys', async (t) => {
  const { node, folder, cli, curl } = await startStage(t)
  await writeFile(
    join(folder, 'wrangler.json'),
    JSON.stringify({ name: 'app', main: 'app.js', compatibility_date: '2026-01-01' }),
  )
  await writeFile(join(folder, 'app.js'), program('one'))
  assert.match(await cli('deploy'), /app\.localhost/)
  assert.equal((await curl('https', 'app.localhost', '/')).body, 'one')

  const headers = [{ action: 'set', name: 'x-frame-options', value: 'DENY' }]
  await writeFile(join(folder, 'site.json'), JSON.stringify({ answers: { headers } }))
  assert.equal(await cli('site set app --file site.json'), 'Site "app" answers at app.localhost.\n')
  await writeFile(join(folder, 'sorry.html'), '<h1>Sorry</h1>\n')
  await cli('site set app --https-redirect --hsts 600 --error-page 5xx=sorry.html')
  const moved = await curl('http', 'app.localhost', '/a')
  assert.equal(moved.status, 301)
  assert.match(moved.head, /\r\nlocation: https:\/\/app\.localhost:\d+\/a\r\n/)

  await writeFile(join(folder, 'app.js'), program('two'))
  await cli('deploy')
  for (const [path, status, body] of [
    ['/', 200, 'two'],
    ['/broken', 500, '<h1>Sorry</h1>\n'],
  ] as const) {
    const got = await curl('https', 'app.localhost', path)
    assert.deepEqual([got.status, got.body], [status, body])
    assert.match(got.head, /\r\nstrict-transport-security: max-age=600(?:\r\n|$)/)
    assert.match(got.head, /\r\nx-frame-options: deny(?:\r\n|$)/)
  }

  await cli('site set app --no-https-redirect --error-page 5xx=')
  assert.equal((await curl('http', 'app.localhost', '/')).body, 'two')
  assert.match((await curl('http', 'app.localhost', '/broken')).body, /1101/)
  assert.match(
    await cli('site set app --host www.app.test'),
    /belongs to a program: only "answers" and "errorPages".*"hosts"/,
  )

  // Whatever was acknowledged is there after a kill.
  await node.stop('SIGKILL')
  const again = await startNode(t, { data: node.data })
  assert.equal((await again.get('app.localhost', '/')).headers['x-frame-options'], 'DENY')
})

test('error pages of the platform bear the fields of their site', async (t) => {
  const { node, folder, cli, curl } = await startStage(t)
  const origin = await startOrigin(t)
  await writeFile(join(folder, 'down.json'), '{"down":true}')
  await writeFile(join(folder, 'gone.txt'), 'gone')
  const pages = '--error-page 502=down.json --error-page 4xx=gone.txt'
  await cli(`site add shop --origin ${origin.url} --hsts 60 ${pages}`)
  await origin.stop()
  const got = await curl('https', 'shop.localhost', '/')
  assert.deepEqual([got.status, got.body], [502, '{"down":true}'])
  assert.match(got.head, /\r\ncontent-type: application\/json\r\n/)
  assert.match(got.head, /\r\nstrict-transport-security: max-age=60(?:\r\n|$)/)
  // Over cleartext the field means nothing (RFC 6797 §7.2).
  assert.doesNotMatch((await curl('http', 'shop.localhost', '/')).head, /strict-transport-security/)
  // A site that there is not has no fields.
  assert.equal((await curl('http', 'nobody.localhost', '/')).status, 404)

  // Single pages come and go; the others stay.
  const shown = JSON.parse(await cli('site set shop --error-page 4xx= --error-page 504=down.json --json')) as object
  assert.deepEqual((shown as { errorPages: string[] }).errorPages.sort(), ['502', '504'])
  for (const [flags, sentence] of [
    ['--error-page 5xx', /takes STATUS=FILE/],
    ['--error-page 200=down.json', /errorPages/],
    ['--error-page 503=nothing.html', /nothing\.html cannot be read: ENOENT/],
    ['--hsts long', /hsts/],
    ['--compression maybe', /compression/],
  ] as const)
    assert.match(await cli(`site set shop ${flags}`), sentence, flags)

  // The header rules of a service hold for them too.
  const api = async (method: string, path: string, fields: Record<string, string> = {}) => {
    const answer = await node.api(path, { method, ...(method === 'POST' && { body: new URLSearchParams(fields) }) })
    const text = await answer.text()
    assert.equal(answer.status, 200, text)
    return JSON.parse(text) as { id: string }
  }
  const { id } = await api('POST', '/service', { name: 'svc', type: 'vcl' })
  const version = `/service/${id}/version/1`
  await api('POST', `${version}/domain`, { name: 'svc.example.test' })
  await api('POST', `${version}/backend`, { name: 'o', address: '127.0.0.1', port: String(origin.port) })
  const rule = { name: 'up', type: 'response', action: 'set', dst: 'http.X-Shown', src: 'resp.status' }
  await api('POST', `${version}/header`, rule)
  await api('PUT', `${version}/activate`)
  const refused = await node.get('svc.example.test', '/')
  assert.deepEqual([refused.status, refused.headers['x-shown']], [502, '502'])
})
