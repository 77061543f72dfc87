import { RpcTarget, WorkerEntrypoint } from 'cloudflare:workers'

class Counter extends RpcTarget {
  #value = 0
  increment(by) {
    this.#value += by
    return this.#value
  }
}

export class Api extends WorkerEntrypoint {
  tenant() {
    return this.ctx.props.tenant
  }
  counter() {
    return new Counter()
  }
  async callBack(callback) {
    return `called: ${await callback('from the neighbour')}`
  }
  stream() {
    return new Response('streamed').body
  }
  fail() {
    throw new TypeError('refused by the neighbour')
  }
}

export default {
  async fetch(request) {
    return Response.json({ path: new URL(request.url).pathname, method: request.method, body: await request.text() })
  },
}
