/** Sends what it is asked to, and keeps what it is told, in the order in which it is told. */
import { DurableObject } from 'cloudflare:workers'

export class Diary extends DurableObject {
  add(queue, entries) {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS told (queue, entry)')
    for (const entry of entries)
      this.ctx.storage.sql.exec('INSERT INTO told VALUES (?, ?)', queue, JSON.stringify(entry))
  }
  read(queue) {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS told (queue, entry)')
    const rows = this.ctx.storage.sql.exec('SELECT entry FROM told WHERE queue = ? ORDER BY rowid', queue).toArray()
    return rows.map(({ entry }) => JSON.parse(entry))
  }
}

const diary = (env) => env.DIARY.get(env.DIARY.idFromName('one'))

const values = {
  text: () => ['héllo\ufeff', { contentType: 'text' }],
  json: () => [{ a: [1, null] }, { contentType: 'json' }],
  bytes: () => [new Uint8Array([0, 255]), { contentType: 'bytes' }],
  v8: () => [new Map([['when', new Date(5)]]), { contentType: 'v8' }],
  usual: () => [{ usual: true }],
}

const calls = {
  async send(url, env) {
    const [body, options = {}] = values[url.searchParams.get('value')]()
    const delaySeconds = url.searchParams.get('delay')
    return env.Q.send(body, { ...options, ...(delaySeconds === null ? {} : { delaySeconds: Number(delaySeconds) }) })
  },
  async batch(url, env) {
    const count = Number(url.searchParams.get('count'))
    const size = Number(url.searchParams.get('size') ?? 0)
    const from = Number(url.searchParams.get('from') ?? 0)
    const name = url.searchParams.get('to') ?? 'Q'
    const messages = Array.from({ length: count }, (_, n) => ({
      body: `${from + n}`.padEnd(size, 'x'),
      contentType: 'text',
    }))
    return env[name].sendBatch(messages)
  },
  async say(url, env) {
    return env[url.searchParams.get('to')].send(url.searchParams.get('text'), { contentType: 'text' })
  },
  async metrics(url, env) {
    return env[url.searchParams.get('of') ?? 'Q'].metrics()
  },
  async told(url, env) {
    return diary(env).read(url.searchParams.get('queue'))
  },
}

const plain = (body) =>
  body instanceof Uint8Array
    ? ['bytes', ...body]
    : body instanceof Map
      ? ['map', ...[...body].flat().map((one) => (one instanceof Date ? one.toISOString() : one))]
      : body

export default {
  async fetch(request, env) {
    const url = new URL(request.url)
    try {
      return Response.json((await calls[url.pathname.slice(1)](url, env)) ?? null)
    } catch (error) {
      return new Response(`${error.name}: ${error.message}`, { status: 500 })
    }
  },
  async queue(batch, env) {
    const entries = batch.messages.map(({ body, attempts, id, timestamp }) => ({
      ...{ body: plain(body), attempts, batch: batch.messages.length },
      whole: typeof id === 'string' && id.length === 32 && timestamp instanceof Date,
    }))
    await diary(env).add(batch.queue, entries)
    for (const message of batch.messages) {
      if (message.body === 'poison' && batch.queue !== 'dead') throw new Error('poison')
      if (message.body === 'later' && message.attempts < 3) message.retry({ delaySeconds: 0 })
      if (message.body === 'ack and throw') message.ack()
    }
    if (batch.messages.some(({ body }) => body === 'ack and throw')) throw new Error('thrown after all')
  },
}
