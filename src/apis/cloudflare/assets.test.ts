import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { createAssetUploads } from '#/control/assets-uploads.ts'
import { parseManifest } from '#/core/asset-manifest.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import { assetRoutes, resolveAssetsWith } from './assets.ts'
import { ok, VendorError } from './envelope.ts'

const seal = { seal: (text: string) => text, open: (text: string) => text }

/** The rest of what `wrangler deploy` asks, answered with the least it takes. */
function otherRoutes(deploy: (metadata: Record<string, unknown>) => Promise<void>): Hono {
  const app = new Hono()
  const missing = () => {
    throw new VendorError(404, 10007, 'This Worker does not exist on your account.')
  }
  app.get('/accounts/:account/workers/services/:name', missing)
  app.get('/accounts/:account/workers/scripts/:name/deployments', missing)
  app.get('/accounts/:account/workers/subdomain', (c) => ok(c, { subdomain: 'me' }))
  app.get('/accounts/:account/workers/workers/:name', (c) => ok(c, { subdomain: {} }))
  app.post('/accounts/:account/workers/scripts/:name/subdomain', (c) => ok(c, { enabled: true }))
  app.put('/accounts/:account/workers/scripts/:name', async (c) => {
    const form = await c.req.formData()
    await deploy(JSON.parse(String(form.get('metadata'))))
    return ok(c, { deployment_id: '0'.repeat(32) })
  })
  return app
}

async function startApi(t: TestContext) {
  const fabric = createMemoryFabric(Date.now)
  const uploads = await createAssetUploads({ fabric, seal, limits: defaultLimits, clock: Date.now })
  const seen: string[] = []
  let deployed: Awaited<ReturnType<typeof uploads.assetsDeploymentFrom>> | undefined
  const app = new Hono()
  app.use(async (c, next) => {
    seen.push(`${c.req.method} ${new URL(c.req.url).pathname}`)
    await next()
  })
  app.route('/', assetRoutes({ uploads, limits: defaultLimits }))
  app.route(
    '/',
    otherRoutes(async ({ assets }) => {
      deployed = await resolveAssetsWith(uploads)(assets, { program: 'site', hasCode: false })
    }),
  )
  app.onError((error, c) => {
    const { status, code, message } = error instanceof VendorError ? error : new VendorError(500, 1, String(error))
    const body = { success: false, errors: [{ code, message }], messages: [], result: null }
    return c.json(body, status as ContentfulStatusCode)
  })
  const server = createServer(getRequestListener(app.fetch))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
    uploads.close()
  })
  const { port } = server.address() as AddressInfo
  return { base: `http://127.0.0.1:${port}`, port, server, fabric, seen, deployed: () => deployed }
}

async function project(t: TestContext, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-assets-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  return folder
}

const wranglerBinary = join(dirname(createRequire(import.meta.url).resolve('wrangler/package.json')), 'bin/wrangler.js')

function wrangler(folder: string, base: string, ...args: string[]): Promise<{ code: number; output: string }> {
  const env = {
    PATH: process.env.PATH,
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
    HOME: folder,
    CI: 'true',
    NO_COLOR: '1',
    WRANGLER_SEND_METRICS: 'false',
    CLOUDFLARE_API_BASE_URL: base,
    CLOUDFLARE_API_TOKEN: 'token',
    CLOUDFLARE_ACCOUNT_ID: 'acc',
  }
  return new Promise((resolve) => {
    execFile(process.execPath, [wranglerBinary, ...args], { cwd: folder, env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr }),
    )
  })
}

test('wrangler deploys a folder of assets, and sends only what changed', async (t) => {
  const api = await startApi(t)
  const folder = await project(t, {
    'wrangler.jsonc': JSON.stringify({
      name: 'site',
      compatibility_date: '2026-11-01',
      assets: { directory: './public', not_found_handling: '404-page' },
    }),
    'public/index.html': '<h1>home</h1>',
    'public/404.html': 'lost',
    'public/img/ünï cödé.svg': '<svg/>',
    'public/empty': '',
    'public/big.bin': 'x'.repeat(300_000),
    'public/_headers': '/*\n  X-A: b\n',
    'public/_redirects': '/old /new 301\n',
    'public/.assetsignore': 'secret.txt\n',
    'public/secret.txt': 'no',
  })
  const first = await wrangler(folder, api.base, 'deploy')
  assert.equal(first.code, 0, first.output)
  const deployed = api.deployed()!
  assert.equal(deployed.notFoundHandling, '404-page')
  assert.equal(deployed.headersFile, '/*\n  X-A: b\n')
  assert.equal(deployed.redirectsFile, '/old /new 301\n')
  const manifest = parseManifest((await api.fabric.blobs.get(deployed.manifest))!)
  assert.deepEqual(
    [...manifest].map(([path, { size, type }]) => `${path} ${size} ${type}`),
    [
      '/404.html 4 text/html; charset=utf-8',
      '/big.bin 300000 application/octet-stream',
      '/empty 0 undefined',
      '/img/ünï cödé.svg 6 image/svg+xml',
      '/index.html 13 text/html; charset=utf-8',
    ],
  )
  const singleUploads = () => api.seen.filter((line) => /^POST .*\/assets\/upload\/[0-9a-f]{32}$/.test(line)).length
  assert.equal(singleUploads(), 5)
  await writeFile(join(folder, 'public/index.html'), '<h1>changed</h1>')
  const second = await wrangler(folder, api.base, 'deploy')
  assert.equal(second.code, 0, second.output)
  assert.equal(singleUploads(), 6)
  await writeFile(join(folder, 'public/_redirects'), '/fine /x\n/* /index.html 200\n')
  const third = await wrangler(folder, api.base, 'deploy')
  assert.equal(third.code, 1)
  assert.match(third.output, /Invalid _redirects configuration:\s+Line 2: Infinite loop.*\[code: 100324\]/s)
})

async function openSession(base: string) {
  const { createAssetHash } = await import('#/control/assets-content.ts')
  const hash = createAssetHash('txt')
  hash.update(Buffer.from('hello world'))
  const name = hash.digest()
  const manifest = { '/a.txt': { hash: name, size: 11 } }
  const response = await fetch(`${base}/accounts/acc/workers/scripts/site/assets-upload-session`, {
    method: 'POST',
    body: JSON.stringify({ manifest }),
  })
  const { result } = (await response.json()) as { result: { jwt: string; buckets: string[][] } }
  assert.deepEqual([response.status, result.buckets], [201, [[name]]])
  return { name, jwt: result.jwt }
}

async function refusal(response: Response): Promise<string> {
  const { success, errors } = (await response.json()) as {
    success: boolean
    errors: [{ code: number; message: string }]
  }
  assert.equal(success, false)
  return `${response.status} ${errors[0].code} ${errors[0].message}`
}

test('the multipart upload, and what is refused', async (t) => {
  const { base } = await startApi(t)
  const { name, jwt } = await openSession(base)
  const url = `${base}/accounts/acc/workers/assets/upload`
  const authorization = `Bearer ${jwt}`
  const form = (content: string) => {
    const body = new FormData()
    body.append(name, new File([content], name, { type: 'application/null' }), name)
    return body
  }
  const send = (path: string, body: string | FormData, headers: Record<string, string> = { authorization }) =>
    fetch(`${url}${path}`, { method: 'POST', headers, body })
  assert.match(await refusal(await send('', form('x'))), /^400 10001 .*base64=true/)
  assert.match(await refusal(await send(`/${name}`, 'hello world', {})), /^401 10001 .*missing/)
  assert.match(await refusal(await send(`/${name}`, 'x', { authorization: 'Bearer x' })), /^401 10001 .*not a token/)
  assert.match(await refusal(await send(`/${name}`, 'jello world')), /^400 10001 .*has the hash/)
  assert.match(await refusal(await send(`/${'0'.repeat(32)}`, 'x')), /^400 10001 No file/)
  assert.match(await refusal(await send('?base64=true', 'nonsense')), /^400 10001 .*multipart/)
  const headers = { authorization, 'content-type': 'multipart/form-data; boundary=b' }
  const cut = `--b\r\nContent-Disposition: form-data; name="${name}"; filename="${name}"\r\n\r\naGVs`
  assert.match(await refusal(await send('?base64=true', cut, headers)), /^400 10001 .*multipart/)
  const done = await send('?base64=true', form(Buffer.from('hello world').toString('base64')))
  assert.equal(done.status, 201)
  const { result } = (await done.json()) as { result: { jwt: string } }
  assert.equal(result.jwt.split('.').length, 3)
})

test('a connection that breaks off leaves nothing behind', async (t) => {
  const { base, port, server, fabric } = await startApi(t)
  const { name, jwt } = await openSession(base)
  const before = (await Array.fromAsync(fabric.blobs.list())).length
  const socket = connect(port, '127.0.0.1')
  const arrived = once(server, 'request') as Promise<[IncomingMessage]>
  const head = [`POST /accounts/acc/workers/assets/upload/${name} HTTP/1.1`, 'Host: x', `Authorization: Bearer ${jwt}`]
  socket.write(`${head.join('\r\n')}\r\nContent-Length: 11\r\n\r\nhello`)
  const [request] = await arrived
  socket.destroy()
  await new Promise((resolve) => request.on('close', resolve))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal((await Array.fromAsync(fabric.blobs.list())).length, before)
  const good = await fetch(`${base}/accounts/acc/workers/assets/upload/${name}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${jwt}`, 'content-type': 'text/plain' },
    body: 'hello world',
  })
  assert.equal(good.status, 201)
})
