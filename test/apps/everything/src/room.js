import { DurableObject } from 'cloudflare:workers'

/** Counts visits in SQLite, rings once after an alarm, and echoes over WebSockets that may hibernate. */
export class Room extends DurableObject {
  constructor(context, env) {
    super(context, env)
    context.blockConcurrencyWhile(async () => {
      context.storage.sql.exec('CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY, who TEXT)')
    })
  }

  visit(who) {
    this.ctx.storage.sql.exec('INSERT INTO visits (who) VALUES (?)', who)
    return this.ctx.storage.sql.exec('SELECT COUNT(*) AS count FROM visits').one().count
  }

  async ringIn(milliseconds) {
    await this.ctx.storage.setAlarm(Date.now() + milliseconds)
  }

  async rung() {
    return (await this.ctx.storage.get('rung')) ?? 0
  }

  async alarm() {
    await this.ctx.storage.put('rung', (await this.rung()) + 1)
  }

  async fetch() {
    const { 0: client, 1: server } = new WebSocketPair()
    this.ctx.acceptWebSocket(server)
    server.serializeAttachment({ messages: 0 })
    return new Response(null, { status: 101, webSocket: client })
  }

  webSocketMessage(socket, message) {
    const messages = socket.deserializeAttachment().messages + 1
    socket.serializeAttachment({ messages })
    socket.send(`${messages}: ${message}`)
  }

  webSocketClose(socket, code, reason) {
    socket.close(code === 1005 ? 1000 : code, reason)
  }
}
