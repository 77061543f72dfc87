/** As much of a platform as `rimward deploy` asks for. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'

export interface Call {
  readonly method: string
  readonly path: string
  readonly body: unknown
  readonly token: string
}

/** As much of the platform as a deploy asks for, keeping what it was asked. */
export async function platform(context: { after(run: () => void): void }, singleFiles: boolean) {
  const calls: Call[] = []
  const api = new Hono()
  const ok = (result: unknown): Response => Response.json({ success: true, errors: [], messages: [], result })
  api.use(async (c, next) => {
    const type = c.req.header('content-type') ?? ''
    const form = type.startsWith('multipart/') ? Object.fromEntries(await c.req.formData()) : undefined
    const body = form ?? (type.startsWith('application/json') ? await c.req.json() : await c.req.text())
    const path = `${c.req.path}${new URL(c.req.url).search}`.replace('/client/v4/accounts/acc', '')
    calls.push({ method: c.req.method, path, body, token: c.req.header('authorization') ?? '' })
    await next()
  })
  const payload = Buffer.from(JSON.stringify({ wrangler_single_asset_uploads: singleFiles })).toString('base64url')
  api.get('/rimward/v1/status', (c) => c.json({ addresses: { http: 'http://127.0.0.1:8080' } }))
  api.get('/client/v4/accounts', () => ok([{ id: 'acc' }]))
  const account = new Hono()
  account.get('/storage/kv/namespaces', () => ok([{ id: 'other', title: 'other' }]))
  account.post('/storage/kv/namespaces', () => ok({ id: 'made' }))
  account.post('/workers/scripts/:name/assets-upload-session', async (c) => {
    const { manifest } = (await c.req.json()) as { manifest: Record<string, { hash: string }> }
    return ok({ jwt: `h.${payload}.s`, buckets: Object.values(manifest).map(({ hash }) => [hash]) })
  })
  account.post('/workers/assets/upload/*', () => ok({ jwt: 'complete' }))
  account.post('/workers/assets/upload', () => ok({ jwt: 'complete' }))
  account.get('/queues', (c) => {
    const [name] = c.req.queries('name') ?? []
    const consumers = name === 'mail' ? [{ consumer_id: 'c1', type: 'worker', script: 'a' }] : []
    return ok(name === 'new' ? [] : [{ queue_id: `id-${name}`, queue_name: name, consumers }])
  })
  for (const path of ['/queues', '/queues/:id/consumers', '/queues/:id/consumers/:consumer'])
    account.on(['POST', 'PUT'], path, () => ok(null))
  account.put('/workers/scripts/:name/schedules', () => ok({ schedules: [] }))
  account.put('/workers/scripts/:name', (c) =>
    c.req.param('name') === 'refused'
      ? c.json(
          { success: false, errors: [{ code: 10021, message: 'Uncaught Error: no' }], messages: [], result: null },
          400,
        )
      : ok({ deployment_id: 'version-1' }),
  )
  for (const path of [
    '/workers/scripts/:name/subdomain',
    '/workers/scripts/:name/routes',
    '/workers/scripts/:name/domains/records',
  ]) {
    account.all(path, () => ok(null))
  }
  api.route('/client/v4/accounts/acc', account)
  api.notFound((c) =>
    c.json({ success: false, errors: [{ code: 10007, message: 'not there' }], messages: [], result: null }, 404),
  )
  const server = createAdaptorServer({ fetch: api.fetch, createServer }) as Server
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { calls, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}
