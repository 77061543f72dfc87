/**
 * Tails: `wrangler tail` creates one, connects to its address and sees what a program logs.
 * Source: developers.cloudflare.com/api/resources/workers/subresources/scripts/subresources/tail.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Context } from 'hono'
import { Hono } from 'hono'
import type { LiveTraces } from '#/control/traces.ts'
import type { Limits } from '#/core/limits.ts'
import type { Fabric, Revision } from '#/core/ports.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { ok, VendorError } from './envelope.ts'
import { readJson } from './read-body.ts'
import { handshakeFault, openTailConnection, type TailConnection } from './tail-connection.ts'
import { parseTailFilters, passesFilters, type TailFilter } from './tail-filters.ts'

interface Dependencies {
  readonly traces: LiveTraces
  readonly fabric: Fabric
  readonly clock: Clock
  readonly limits: Limits
  /** Is there a program of this name? */
  readonly hasProgram: (name: ProgramName) => boolean | Promise<boolean>
  /** For `sampling_rate`. */
  readonly random?: () => number
}

export interface Tails {
  /** Below `/client/v4`. */
  readonly routes: Hono
  /** Takes a request for `/tail/…` from the API server's `upgrade` event; false when it is for somebody else. */
  upgradeTail(request: IncomingMessage, socket: Duplex, head: Buffer): boolean
  /** Ends all connections with code 1001 (going away). */
  close(): void
}

interface Session {
  readonly id: string
  readonly program: ProgramName
  readonly filters: readonly TailFilter[]
  /** Hex SHA-256 of the secret in the address; absent once somebody connected with it. */
  readonly secret?: string
  readonly expiresAt: EpochMs
}

type Stored = Session & { readonly revision: Revision }

const encode = (session: Session) => Buffer.from(JSON.stringify(session))
const fingerprint = (secret: string) => createHash('sha256').update(secret).digest('hex')

/** Sessions live in the fabric, so that the connection may reach another machine than the call that made it. */
function createSessions(fabric: Fabric) {
  const bucket = fabric.bucket('tail-sessions')
  const decode = (value: Uint8Array) => JSON.parse(Buffer.from(value).toString('utf8')) as Session
  return {
    async get(id: string): Promise<Stored | undefined> {
      const entry = await bucket.get(id)
      return entry === undefined ? undefined : { ...decode(entry.value), revision: entry.revision }
    },
    async of(program: ProgramName): Promise<Session[]> {
      const found: Session[] = []
      for (let after: string | undefined; ; ) {
        const page = await bucket.list({ limit: 1000, ...(after === undefined ? {} : { after }) })
        found.push(...page.map(({ value }) => decode(value)).filter((session) => session.program === program))
        after = page.at(-1)?.key
        if (after === undefined) return found
      }
    },
    async add(session: Session): Promise<void> {
      await bucket.put(session.id, encode(session), { expiresAt: session.expiresAt })
    },
    /** Uses up the secret; false when somebody else did, or it is a wrong one. */
    async redeem({ revision, secret, ...session }: Stored, given: string): Promise<boolean> {
      if (secret === undefined) return false
      if (!timingSafeEqual(Buffer.from(secret), Buffer.from(fingerprint(given)))) return false
      const options = { expect: revision, expiresAt: session.expiresAt }
      return (await bucket.put(session.id, encode(session), options)) !== undefined
    },
    remove: (id: string) => bucket.delete(id),
    onRemoved: (listener: (id: string) => void) =>
      bucket.watch('', (change) => {
        if (change.kind === 'delete') listener(change.key)
      }),
  }
}

function refuse(socket: Duplex, status: number, message: string): void {
  const body = JSON.stringify({ success: false, errors: [{ code: 10001, message }], messages: [], result: null })
  const version = status === 426 ? 'Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n' : ''
  socket.on('error', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${status} Refused\r\n${version}Connection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

/** An IPv4 client of a socket that listens on IPv6 too. */
function addressOf(request: IncomingMessage): string {
  return (request.socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '')
}

export function createTails(dependencies: Dependencies): Tails {
  const { traces, clock, limits, hasProgram, random = Math.random } = dependencies
  const sessions = createSessions(dependencies.fabric)
  const connections = new Map<string, TailConnection>()
  const stopWatching = sessions.onRemoved((id) => connections.get(id)?.close(1000, 'the tail was deleted'))

  function serve(session: Session, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { id, program, filters } = session
    const view = { self: addressOf(request), random }
    const expiry = setTimeout(() => connection.close(1000, 'the tail has expired'), session.expiresAt - clock())
    const connection = openTailConnection(request, socket, head, {
      program,
      limits,
      clock,
      onEnd() {
        clearTimeout(expiry)
        stopListening()
        connections.delete(id)
        sessions.remove(id).catch(() => {})
      },
    })
    connections.set(id, connection)
    const stopListening = traces.listen(
      program,
      (trace) => {
        if (passesFilters(filters, trace, view)) connection.send(trace)
      },
      { onDropped: connection.dropped },
    )
  }

  async function connect(request: IncomingMessage, socket: Duplex, head: Buffer, id: string, secret: string) {
    const fault = handshakeFault(request)
    if (fault !== undefined) return refuse(socket, fault.status, fault.message)
    const session = await sessions.get(id)
    const refusal = session && traces.refusal(session.program)
    if (refusal !== undefined) return refuse(socket, 451, refusal.message)
    if (session === undefined || !(await sessions.redeem(session, secret)))
      return refuse(socket, 403, 'This tail has expired, or its address was used before.')
    if (!socket.destroyed) serve(session, request, socket, head)
  }

  const routes = new Hono()
  const path = '/accounts/:account/workers/scripts/:name/tails'

  async function programOf(c: Context): Promise<ProgramName> {
    const name = c.req.param('name') ?? ''
    if (await hasProgram(name)) return name
    throw new VendorError(404, 10007, `This Worker does not exist on your account: ${name}.`)
  }

  routes.post(path, async (c) => {
    const program = await programOf(c)
    const refusal = traces.refusal(program)
    if (refusal !== undefined) throw new VendorError(451, 10001, refusal.message)
    const filters = parseTailFilters(await readJson(c, limits.tailMessageBytes))
    if ((await sessions.of(program)).length >= limits.tailSessions)
      throw new VendorError(429, 10001, `At most ${limits.tailSessions} tails a Worker may be open.`)
    const id = randomBytes(16).toString('hex')
    const secret = randomBytes(24).toString('base64url')
    const expiresAt = clock() + limits.tailSessionSeconds * 1000
    await sessions.add({ id, program, filters, secret: fingerprint(secret), expiresAt })
    const { protocol, host } = new URL(c.req.url)
    const url = `${protocol === 'https:' ? 'wss' : 'ws'}://${host}/tail/${id}?secret=${secret}`
    return ok(c, { id, url, expires_at: new Date(expiresAt).toISOString() })
  })

  routes.get(path, async (c) => {
    const found = await sessions.of(await programOf(c))
    return ok(
      c,
      found.map(({ id, expiresAt }) => ({ id, expires_at: new Date(expiresAt).toISOString() })),
    )
  })

  routes.delete(`${path}/:id`, async (c) => {
    const session = await sessions.get(c.req.param('id'))
    if (session?.program !== c.req.param('name')) throw new VendorError(404, 10001, 'This tail does not exist.')
    await sessions.remove(session.id)
    return ok(c, null)
  })

  return {
    routes,
    upgradeTail(request, socket, head) {
      const match = /^\/tail\/([0-9a-f]{32})\?secret=([A-Za-z0-9_-]{1,64})$/.exec(request.url ?? '')
      if (match === null) return false
      connect(request, socket, head, match[1]!, match[2]!).catch(() => socket.destroy())
      return true
    },
    close() {
      stopWatching()
      for (const connection of connections.values()) connection.close(1001, 'going away')
    },
  }
}
