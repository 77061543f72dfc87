import { connect } from 'cloudflare:sockets'
import * as module from 'cloudflare:workers'
import { NonRetryableError } from 'cloudflare:workflows'
import { channel } from 'node:diagnostics_channel'
import { groups } from './groups.js'
import { insideObject } from './objects.js'
import { consume } from './queues.js'
import { flows } from './workflows.js'

const { DurableObject, RpcStub, RpcTarget, WorkerEntrypoint, WorkflowEntrypoint } = module

async function say(socket, words) {
  const writer = socket.writable.getWriter()
  await writer.write(new TextEncoder().encode(words))
  await writer.close()
}

export class Probe extends DurableObject {
  #born = crypto.randomUUID()
  async check(name) {
    await insideObject[name](this.ctx, this.env)
  }
  connect(socket) {
    return say(socket, 'from an object')
  }
  echo(value) {
    return value
  }
  born() {
    return this.#born
  }
  end(reason, options) {
    this.ctx.abort(reason, options)
  }
  rang() {
    return this.ctx.storage.kv.get('rang')?.length === 2 ? this.ctx.storage.kv.get('rang') : null
  }
  closed() {
    return this.ctx.storage.kv.get('closed') ?? null
  }
  alarm({ isRetry, retryCount, scheduledTime }) {
    this.ctx.storage.kv.put('rang', [
      ...(this.ctx.storage.kv.get('rang') ?? []),
      { isRetry, retryCount, scheduledTime },
    ])
    if (retryCount === 0) this.ctx.storage.sync().then(() => {})
    return retryCount === 0 ? this.#failOnce() : undefined
  }
  async #failOnce() {
    await this.ctx.storage.sync()
    throw new Error('the first alarm fails')
  }
  async fetch(request) {
    if (request.headers.get('upgrade') !== 'websocket')
      return new Response(`${request.method} ${new URL(request.url).pathname}`)
    const [client, server] = Object.values(new WebSocketPair())
    this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'))
    this.ctx.setHibernatableWebSocketEventTimeout(1000)
    this.ctx.acceptWebSocket(server, ['visitor'])
    server.serializeAttachment({ joined: true })
    return new Response(null, { status: 101, webSocket: client })
  }
  webSocketMessage(socket, message) {
    const { request, response } = this.ctx.getWebSocketAutoResponse()
    socket.send(
      JSON.stringify({
        message,
        tags: this.ctx.getTags(socket),
        attachment: socket.deserializeAttachment(),
        sockets: this.ctx.getWebSockets('visitor').length,
        pair: [request, response],
        timeout: this.ctx.getHibernatableWebSocketEventTimeout(),
        answered: this.ctx.getWebSocketAutoResponseTimestamp(socket) instanceof Date,
      }),
    )
  }
  async webSocketError(_socket, error) {
    await this.env.KV.put('broken', String(error.message))
  }
  webSocketClose(_socket, code, reason) {
    this.ctx.storage.kv.put('closed', [code, reason])
  }
}

export class Facet extends DurableObject {
  bump() {
    const count = (this.ctx.storage.kv.get('count') ?? 0) + 1
    this.ctx.storage.kv.put('count', count)
    return count
  }
}

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const how = event.payload?.how
    if (how === undefined) return null
    const output = await flows[how](step, event, { NonRetryableError })
    return how === 'event'
      ? { ...output, bound: this.env.KV !== undefined, waits: typeof this.ctx.waitUntil === 'function' }
      : output
  }
}

class Counter extends RpcTarget {
  #count = 0
  add(n) {
    this.#count += n
    return this.#count
  }
}

/** Reached by a service binding with `props`. */
export class Named extends WorkerEntrypoint {
  fetch(request) {
    if (request.url.includes('/throw')) throw new RangeError('thrown on purpose')
    return new Response(`named ${request.method}`)
  }
  add(a, b) {
    return a + b
  }
  counter() {
    return new Counter()
  }
  connect(socket) {
    return say(socket, 'from a program')
  }
  noise() {
    console.log('noise', { a: 1 })
    console.error(new RangeError('logged'))
    channel('table').publish({ heard: true })
    return 'made'
  }
  async end() {
    this.ctx.abort(new Error('ended on purpose'))
    await scheduler.wait(1000)
  }
  props() {
    return this.ctx.props
  }
  bound() {
    return this.env.KV !== undefined
  }
  callBack(call) {
    return call('hello')
  }
  async stubbed() {
    using stub = new RpcStub(new Counter())
    return `stubbed ${await stub.add(4)}`
  }
}

/** Told of what loaded code did. */
export class Tailed extends WorkerEntrypoint {
  async tail(traces) {
    for (const { logs } of traces)
      for (const { message } of logs) await this.env.KV.put('trace:loaded', String(message))
  }
}

const caseMs = 30_000

/** GET /GROUP runs the cases of a group beside each other and answers with what came of each, in their order: `ok` or the failure. */
export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url)
    if (url.pathname === '/send')
      return Response.json(await env[url.searchParams.get('to')].send(url.searchParams.get('body')))
    if (url.pathname === '/kept') return new Response(await env.KV.get(url.searchParams.get('key')))
    if (url.pathname === '/socket') return env.PROBE.getByName('broken').fetch(request)
    const group = groups[url.pathname.slice(1)]
    if (group === undefined) return new Response('no such group', { status: 404 })
    const attempt = async ({ run }) => {
      try {
        const late = scheduler.wait(caseMs).then(() => {
          throw new Error(`not within ${caseMs} ms`)
        })
        await Promise.race([run({ request, env, ctx, connect, module }), late])
        return 'ok'
      } catch (error) {
        return `${error?.stack ?? error}`
      }
    }
    return Response.json(await Promise.all(group.map(attempt)))
  },
  connect: (socket) => say(socket, 'from a handler'),
  queue: consume,
}
