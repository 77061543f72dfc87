import { Buffer } from 'node:buffer'
import { WorkerEntrypoint } from 'cloudflare:workers'
import add from './add.wasm'
import bytes from './bytes.bin'
import data from './data.json'
import note from './note.md'
import text from './text.txt'

export { Room } from './room.js'

export class Api extends WorkerEntrypoint {
  double(number) {
    return number * 2
  }
}

const routes = {
  vars: (_request, env) => ({ greeting: env.GREETING, options: env.OPTIONS, secret: env.TOKEN ?? null }),
  modules: () => ({
    text: text.trim(),
    note: note.trim(),
    answer: data.answer,
    bytes: Buffer.from(bytes).toString('hex'),
    sum: new WebAssembly.Instance(add).exports.add(2, 3),
  }),
  async kv(request, env) {
    if (request.method === 'PUT') await env.NOTES.put('note', await request.text(), { metadata: { by: 'test' } })
    const { value, metadata } = await env.NOTES.getWithMetadata('note')
    return { value, metadata }
  },
  double: async (request, env) => ({ doubled: await env.SELF_API.double(Number(new URL(request.url).searchParams.get('n'))) }),
  visit: async (_request, env) => ({ count: await env.ROOMS.getByName('lobby').visit('somebody') }),
  async ring(request, env) {
    const room = env.ROOMS.getByName('bell')
    if (request.method === 'POST') await room.ringIn(50)
    return { rung: await room.rung() }
  },
  chat: (request, env) => env.ROOMS.getByName('chat').fetch(request),
  version: (_request, env) => env.VERSION,
  asset: (request, env) => env.ASSETS.fetch(new URL('/index.html', request.url)),
  cf: (request) => request.cf ?? null,
  log() {
    console.log('a line', { with: 'an object' })
    return { logged: true }
  },
  throw() {
    throw new Error('thrown on purpose')
  },
  later(_request, env, context) {
    context.waitUntil(env.NOTES.put('later', 'done'))
    return { later: true }
  },
}

export default {
  async fetch(request, env, context) {
    const name = new URL(request.url).pathname.replace('/api/', '')
    if (!Object.hasOwn(routes, name)) return new Response('No such route\n', { status: 404 })
    const answer = await routes[name](request, env, context)
    return answer instanceof Response ? answer : Response.json(answer)
  },
}
