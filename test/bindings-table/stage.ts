/** The Worker of the cases, deployed by the real wrangler with everything that it binds to. */

import { once } from 'node:events'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { parse } from 'jsonc-parser'
import { selfSigned } from '#/edge/self-signed.fixture.ts'
import { type Ran, type RunningNode, rimward, root, startNode, temporaryFolder, wrangler } from '../support/node.ts'
import type { Project } from './configurations.ts'

export interface Stage {
  readonly node: RunningNode
  readonly folder: string
  readonly config: Record<string, unknown>
  end(): Promise<void>
}

export async function stageExerciser(): Promise<Stage> {
  const node = await startNode(undefined)
  const echo = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  async function end(): Promise<void> {
    echo.close()
    await node.stop('SIGKILL')
  }
  try {
    return { node, ...(await deployExerciser(node, (echo.address() as AddressInfo).port)), end }
  } catch (error) {
    await end()
    throw error
  }
}

async function deployExerciser(node: RunningNode, port: number): Promise<Pick<Stage, 'folder' | 'config'>> {
  const folder = await temporaryFolder(undefined, 'bindings-table')
  cpSync(join(root, 'test/bindings-table/worker'), folder, { recursive: true })
  const config = {
    ...parse(readFileSync(join(folder, 'wrangler.jsonc'), 'utf8')),
    vars: { ECHO: String(port) },
    ...(await makeTargets(node, port)),
  }
  writeFileSync(join(folder, 'wrangler.jsonc'), JSON.stringify(config))
  await wrangler(node, folder, ['deploy', '--tag', 'table'])
  const allowed = await rimward(node, folder, ['allow', 'exerciser', `127.0.0.1:${port}`])
  if (allowed.code !== 0) throw new Error(allowed.output)
  return { folder, config }
}

let projects = 0

/** Deploys a project in a folder of its own; fails when wrangler does, unless it may. */
export async function deployProject({ node, folder }: Stage, project: Project, mayFail = false): Promise<Ran> {
  const own = join(folder, 'projects', String(projects++))
  for (const [path, text] of Object.entries({ 'wrangler.json': JSON.stringify(project.config), ...project.files })) {
    mkdirSync(dirname(join(own, path)), { recursive: true })
    writeFileSync(join(own, path), text, 'latin1')
  }
  return wrangler(node, own, ['deploy', ...(project.arguments ?? [])], { mayFail })
}

/** Does it to each, so many at a time. */
export async function inParallel<T>(all: readonly T[], lanes: number, doTo: (one: T, index: number) => Promise<void>) {
  let next = 0
  const lane = async () => {
    while (next < all.length) {
      const index = next++
      await doTo(all[index]!, index)
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}

/** What must be there before it can be bound. */
async function makeTargets(node: RunningNode, port: number): Promise<object> {
  const account = `/client/v4/accounts/${node.accountId}`
  async function made<Result>(path: string, body: object | FormData, method = 'POST'): Promise<Result> {
    const sent = body instanceof FormData ? body : JSON.stringify(body)
    const answer = await node.api(`${account}${path}`, { method, body: sent })
    const { success, result, errors } = (await answer.json()) as { success: boolean; result: Result; errors: unknown }
    if (!success) throw new Error(`${path}: ${JSON.stringify(errors)}`)
    return result
  }
  const store = await made<{ id: string }>('/secrets_store/stores', { name: 'table' })
  const secret = { name: 'SHARED', value: 'shared value', scopes: ['workers'] }
  await made(`/secrets_store/stores/${store.id}/secrets`, [secret])
  const origin = { scheme: 'postgres', host: '127.0.0.1', port, database: 'shop', user: 'app', password: 'secret' }
  const database = await made<{ id: string }>('/hyperdrive/configs', {
    name: 'table',
    origin,
    mtls: { sslmode: 'disable' },
  })
  await made('/workers/dispatch/namespaces', { name: 'table' })
  const { chain, key } = await selfSigned('client')
  const pair = { name: 'table', certificates: chain, private_key: key, ca: false }
  const certificate = await made<{ id: string }>('/mtls_certificates', pair)
  const sql = await made<{ uuid: string }>('/d1/database', { name: 'exerciser-data' })
  const kv = await made<{ id: string }>('/storage/kv/namespaces', { title: 'table' })
  await made(
    '/workers/dispatch/namespaces/table/scripts/ann',
    program(`export default { fetch: () => new Response('ann') }`),
    'PUT',
  )
  const bound = [{ type: 'kv_namespace', name: 'KV', namespace_id: kv.id }]
  await made('/workers/scripts/exerciser-watcher', program(watcher, bound), 'PUT')
  for (const [name, form] of [
    ['exerciser-class', program(consumerClass, bound)],
    ['exerciser-script', program(consumerScript, bound, 'script')],
  ] as const) {
    await made(`/workers/scripts/${name}`, form, 'PUT')
    const queue = await made<{ queue_id: string }>('/queues', { queue_name: name })
    const consumer = { type: 'worker', script_name: name, settings: { max_wait_time_ms: 0 } }
    await made(`/queues/${queue.queue_id}/consumers`, consumer)
  }
  return {
    tail_consumers: ['watcher', 'class'].map((name) => ({
      service: `exerciser-${name}`,
      environment: 'production',
    })),
    account_id: node.accountId,
    kv_namespaces: [{ binding: 'KV', id: kv.id, preview_id: 'preview', remote: false }],
    d1_databases: [
      {
        ...{
          binding: 'DB',
          database_name: 'exerciser-data',
          database_id: sql.uuid,
          database_internal_env: 'production',
        },
        ...{ preview_database_id: 'preview', remote: false },
      },
    ],
    secrets_store_secrets: [{ binding: 'SHARED', store_id: store.id, secret_name: 'SHARED' }],
    mtls_certificates: [{ binding: 'PARTNER', certificate_id: certificate.id, remote: false }],
    hyperdrive: [
      { binding: 'DATABASE', id: database.id, localConnectionString: 'postgres://localhost/a', remote: false },
    ],
  }
}

/** Keeps the last trace of each kind. */
const watcher = `
const kindOf = (event) => {
  if (event?.rpcMethod !== undefined) return event.rpcMethod
  if (event?.queue !== undefined) return 'queue'
  if (event?.request !== undefined) return event.request.url.includes('/traced') ? 'fetch' : event.request.url.includes('/throw') ? 'throw' : 'other'
  if (event?.scheduledTime !== undefined) return 'alarm'
  return event?.getWebSocketEvent === undefined ? 'other' : 'websocket-' + event.getWebSocketEvent.webSocketEventType
}
export default {
  async tail(traces, { KV }) {
    for (const trace of traces) await KV.put('trace:' + kindOf(trace.event), JSON.stringify(trace))
  },
}`

const consumerClass = `
import { WorkerEntrypoint } from 'cloudflare:workers'
export default class extends WorkerEntrypoint {
  async queue(batch) {
    await this.env.KV.put('class:queue', batch.queue + ' ' + batch.messages[0].body + ' ' + (batch.metadata.metrics !== undefined))
  }
  async tail(traces) {
    await this.env.KV.put('class:tail', traces[0].scriptName)
  }
}`
const consumerScript = `
addEventListener('queue', (event) => {
  const { queue, messages, metadata } = event
  if (messages[0].attempts === 1) return event.retryAll({ delaySeconds: 0 })
  event.waitUntil(KV.put('script:queue', queue + ' ' + messages[0].body + ' ' + (metadata.metrics !== undefined)))
  event.ackAll()
})`

export function program(
  source: string,
  bindings: readonly object[] = [],
  syntax: 'module' | 'script' = 'module',
): FormData {
  const body = new FormData()
  const main = syntax === 'module' ? { main_module: 'index.js' } : { body_part: 'index.js' }
  body.set('metadata', JSON.stringify({ ...main, compatibility_date: '2026-11-01', bindings }))
  const type = syntax === 'module' ? 'application/javascript+module' : 'application/javascript'
  body.set('index.js', new File([source], 'index.js', { type }))
  return body
}
