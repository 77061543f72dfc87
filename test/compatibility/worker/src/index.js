import { WorkerEntrypoint } from 'cloudflare:workers'
import { assetChecks } from './assets.js'
import { kvChecks } from './kv.js'
import { objectChecks } from './objects.js'
import { runtimeChecks } from './runtime.js'
import { serviceChecks } from './services.js'

export { KeyValueObject, SocketObject, SqlObject } from './objects.js'

export class Calculator extends WorkerEntrypoint {
  add(a, b) {
    return a + b
  }
}

const checks = { ...runtimeChecks, ...kvChecks, ...serviceChecks, ...objectChecks, ...assetChecks }

/** GET /check/NAME answers «ok», or 500 with what did not hold. GET /check/ lists the names. */
export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url)
    if (url.pathname === '/socket/echo') return echo(request)
    if (url.pathname === '/socket/object') return env.SOCKETS.getByName('room').fetch(request)
    if (url.pathname === '/plain/throw') throw new RangeError('thrown on purpose')
    if (url.pathname === '/plain/body') return new Response(request.body, { headers: { 'x-method': request.method } })
    if (url.pathname === '/plain/facts')
      return Response.json({ headers: [...request.headers], cf: request.cf, url: request.url })
    if (url.pathname === '/plain/stream') return new Response(ticks())
    if (url.pathname === '/plain/wait') {
      ctx.waitUntil(scheduler.wait(50).then(() => env.KV.put('waited', url.search)))
      return new Response('answered')
    }
    const name = url.pathname.slice('/check/'.length)
    if (name === '') return Response.json(Object.keys(checks))
    if (!(name in checks)) return new Response(`no check ${name}`, { status: 404 })
    try {
      await checks[name](env, ctx, request)
      return new Response('ok')
    } catch (error) {
      return new Response(`${error.stack ?? error}`, { status: 500 })
    }
  },
}

function echo(request) {
  if (request.headers.get('upgrade') !== 'websocket') return new Response('not a websocket', { status: 426 })
  const [client, server] = Object.values(new WebSocketPair())
  server.accept()
  server.addEventListener('message', (event) => server.send(event.data))
  server.addEventListener('close', (event) => server.close(event.code, 'bye'))
  return new Response(null, { status: 101, webSocket: client })
}

function ticks() {
  let n = 0
  return new ReadableStream({
    async pull(controller) {
      if (n === 3) return controller.close()
      if (n > 0) await scheduler.wait(30)
      n += 1
      controller.enqueue(new TextEncoder().encode(`tick ${n}\n`))
    },
  })
}
