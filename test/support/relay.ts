/** A TCP relay on loopback that stands for a long line: bytes arrive later, and the line can be cut. */
import { connect, createServer, type Socket } from 'node:net'

export interface Relay {
  readonly host: '127.0.0.1'
  readonly port: number
  /** One way, ms; half a round trip. */
  oneWayMs: number
  /** From now on nothing arrives and nobody is told, as where a cable is cut; connections stay open on both sides. */
  cut(): void
  /** Connections of before the cut are reset; new ones pass. */
  heal(): void
  /** Of all bytes that were passed on, both ways. */
  readonly bytes: number
  close(): Promise<void>
}

/** `target` is asked for each connection, so that it may listen later than the relay. */
export async function openRelay(
  target: () => { readonly host: string; readonly port: number },
  oneWayMs: number,
): Promise<Relay> {
  const sockets = new Set<Socket>()
  let isCut = false
  let bytes = 0
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ ...target(), allowHalfOpen: true, noDelay: true })
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    }
    pass(near, far)
    pass(far, near)
  })

  /** Each chunk leaves when its time has come, in order; a cut line swallows what is on it. */
  function pass(from: Socket, to: Socket): void {
    const later = (step: () => void) => setTimeout(() => !isCut && step(), relay.oneWayMs)
    from.on('data', (chunk: Buffer) => {
      if (isCut) return
      later(() => {
        bytes += chunk.length
        if (to.writable) to.write(chunk)
      })
    })
    from.on('end', () => later(() => to.end()))
    from.on('close', (hadError) => hadError && later(() => to.destroy()))
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const relay: Relay = {
    host: '127.0.0.1',
    port: (server.address() as { port: number }).port,
    oneWayMs,
    get bytes() {
      return bytes
    },
    cut() {
      isCut = true
    },
    heal() {
      if (!isCut) return
      for (const socket of sockets) socket.resetAndDestroy()
      isCut = false
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  return relay
}
