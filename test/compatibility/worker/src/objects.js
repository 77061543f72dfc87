import { DurableObject } from 'cloudflare:workers'
import { equal, rejects } from './expect.js'

export class SqlObject extends DurableObject {
  #log = []
  constructor(ctx, env) {
    super(ctx, env)
    ctx.blockConcurrencyWhile(async () => {
      await scheduler.wait(5)
      ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)')
      this.#log.push('ready')
    })
  }
  add(text) {
    this.ctx.storage.sql.exec('INSERT INTO notes (text) VALUES (?)', text)
    return this.ctx.storage.sql.exec('SELECT count(*) AS n FROM notes').one().n
  }
  notes() {
    return this.ctx.storage.sql
      .exec('SELECT text FROM notes ORDER BY id')
      .toArray()
      .map((row) => row.text)
  }
  started() {
    return this.#log
  }
  wipe() {
    this.ctx.storage.sql.exec('DELETE FROM notes')
  }
  calledAs() {
    return this.ctx.id.name ?? null
  }
  async fetch(request) {
    return new Response(`object ${request.method} ${new URL(request.url).pathname}`)
  }
}

export class KeyValueObject extends DurableObject {
  async bump() {
    const n = ((await this.ctx.storage.get('n')) ?? 0) + 1
    await this.ctx.storage.put('n', n)
    return n
  }
  async listed() {
    await this.ctx.storage.put({ 'p:a': 1, 'p:b': 2 })
    return [...(await this.ctx.storage.list({ prefix: 'p:' }))]
  }
  async rolledBack() {
    await this.ctx.storage.put('t', 'before')
    await this.ctx.storage.transaction(async (txn) => {
      await txn.put('t', 'inside')
      txn.rollback()
    })
    return this.ctx.storage.get('t')
  }
  async ring(inMs) {
    await this.ctx.storage.delete('rang')
    await this.ctx.storage.setAlarm(Date.now() + inMs)
    return (await this.ctx.storage.getAlarm()) !== null
  }
  async alarm(info) {
    await this.ctx.storage.put('rang', { retryCount: info?.retryCount ?? 0 })
  }
  rang() {
    return this.ctx.storage.get('rang')
  }
  async deleteAll() {
    await this.ctx.storage.deleteAll()
    return (await this.ctx.storage.list()).size
  }
}

export class SocketObject extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env)
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'))
  }
  async fetch() {
    const [client, server] = Object.values(new WebSocketPair())
    this.ctx.acceptWebSocket(server, ['visitor'])
    server.serializeAttachment({ joined: true })
    return new Response(null, { status: 101, webSocket: client })
  }
  async webSocketMessage(socket, message) {
    const others = this.ctx.getWebSockets('visitor').length
    socket.send(JSON.stringify({ message, others, attachment: socket.deserializeAttachment() }))
  }
  async webSocketClose(socket, code) {
    socket.close(code, 'closed')
  }
}

export const objectChecks = {
  async 'object-rpc'({ SQL }) {
    const stub = SQL.getByName('rpc')
    await stub.wipe()
    equal(await stub.add('one'), 1)
    equal(await stub.add('two'), 2)
    equal(await stub.notes(), ['one', 'two'])
  },
  async 'object-block-concurrency'({ SQL }) {
    equal(await SQL.getByName('blocked').started(), ['ready'])
  },
  async 'object-fetch'({ SQL }) {
    const response = await SQL.get(SQL.idFromName('fetch')).fetch('http://object/a/b', { method: 'PUT' })
    equal(await response.text(), 'object PUT /a/b')
  },
  async 'object-ids'({ SQL }) {
    const id = SQL.idFromName('one')
    equal(id.equals(SQL.idFromName('one')), true)
    equal(SQL.idFromString(id.toString()).equals(id), true)
    equal(SQL.newUniqueId().equals(SQL.newUniqueId()), false)
    equal(await SQL.getByName('named').calledAs(), 'named')
    await rejects(async () => SQL.idFromString('ff'.repeat(32)), 'Durable Object ID')
  },
  async 'object-key-value'({ KEYS }) {
    const stub = KEYS.getByName('kv')
    const n = await stub.bump()
    equal(await stub.bump(), n + 1)
    equal(await stub.listed(), [
      ['p:a', 1],
      ['p:b', 2],
    ])
    equal(await stub.rolledBack(), 'before')
    equal(await stub.deleteAll(), 0)
  },
  async 'object-alarm'({ KEYS }) {
    const stub = KEYS.getByName('alarm')
    equal(await stub.ring(20), true)
    for (let tries = 0; tries < 100; tries++) {
      if (await stub.rang()) return
      await scheduler.wait(20)
    }
    throw new Error('the alarm did not ring within 2 s')
  },
}
