/** A connection to a database server, with TLS where its mode asks for it. */
import { once } from 'node:events'
import { isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { DatabaseServer } from '#/core/database-servers.ts'
import type { Dialer, DialRequest } from '#/core/dialer.ts'
import { EdgeError } from '#/core/errors.ts'

/**
 * PostgreSQL's SSLRequest (postgresql.org/docs/current/protocol-message-formats.html): length 8, code 80877103. The server
 * answers with one byte: S, and TLS begins, or N, and the connection goes on in clear.
 */
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

/** Rejects like `Dialer.dial`, and with `origin_failed` when the server has no TLS or shows a wrong certificate. */
export async function dialDatabase(
  dialer: Dialer,
  server: DatabaseServer,
  by: DialRequest['by'],
  signal: AbortSignal,
): Promise<Socket> {
  const { scheme, host, port, tls } = server
  const socket = await dialer.dial({ by, host, port, tls: false, signal })
  // MySQL begins TLS in the midst of its greeting, which only its clients speak.
  if (tls === 'disable' || scheme !== 'postgresql') return socket
  const end = () => socket.destroy()
  signal.addEventListener('abort', end, { once: true })
  try {
    socket.write(sslRequest)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    socket.pause()
    if (answer.length !== 1) throw new EdgeError('origin_failed', `${host}:${port} is no PostgreSQL server.`)
    if (answer[0] === 0x53) return await startTls(socket, server)
    if (tls === 'prefer') return socket
    throw new EdgeError('origin_failed', `${host}:${port} has no TLS, which the binding requires (${tls}).`)
  } catch (thrown) {
    socket.destroy()
    if (thrown instanceof EdgeError) throw thrown
    throw new EdgeError('origin_failed', `${host}:${port}: ${(thrown as Error).message}`)
  } finally {
    signal.removeEventListener('abort', end)
  }
}

async function startTls(socket: Socket, { host, tls, ca }: DatabaseServer): Promise<Socket> {
  const secured = connectTls({
    socket,
    host,
    ...(isIP(host) === 0 && { servername: host }),
    rejectUnauthorized: tls === 'verify-ca' || tls === 'verify-full',
    ...(tls === 'verify-ca' && { checkServerIdentity: () => undefined }),
    ...(ca !== undefined && { ca }),
  })
  await once(secured, 'secureConnect')
  return secured
}
