/** One request on a connection of its own, timed from its first byte sent to the first byte received. */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface Timed {
  readonly status: number
  readonly firstByteMs: number
  readonly body: string
}

interface Wanted {
  readonly host: string
  readonly port: number
  readonly authority: string
  readonly path: string
}

function exchange(socket: Socket, wanted: Wanted): Promise<Timed> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let firstByteMs = Number.NaN
    socket.on('data', (chunk) => {
      if (chunks.length === 0) firstByteMs = performance.now() - sentAt
      chunks.push(chunk as Buffer)
    })
    socket.once('error', reject)
    socket.setTimeout(20_000, () => socket.destroy(new Error('no answer within 20 s')))
    socket.once('close', () => {
      const text = Buffer.concat(chunks).toString()
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0)
      resolve({ status, firstByteMs, body: text.slice(text.indexOf('\r\n\r\n') + 4) })
    })
    const sentAt = performance.now()
    socket.write(`GET ${wanted.path} HTTP/1.1\r\nHost: ${wanted.authority}\r\nConnection: close\r\n\r\n`)
  })
}

/** Over TCP; connecting is not timed. */
export async function requestOnce(wanted: Wanted): Promise<Timed> {
  const socket = connect(wanted.port, wanted.host).setNoDelay(true)
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  return exchange(socket, wanted)
}

/** Over TLS with the authority's name in SNI; the request follows the handshake after `pauseMs`, as over a real network. */
export async function requestOverTls(wanted: Wanted, pauseMs: number): Promise<Timed> {
  const serverName = wanted.authority.replace(/:\d+$/, '')
  const socket = connectTls({
    host: wanted.host,
    port: wanted.port,
    servername: serverName,
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
  })
  await new Promise((resolve) => setTimeout(resolve, pauseMs))
  return exchange(socket, wanted)
}
