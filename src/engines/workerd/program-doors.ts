/**
 * Unix sockets that each belong to one program: for TCP connections, which carry nothing that would say whose they are. They
 * are opened when a cell that needs one is configured, and closed when the program has gone.
 */
import { rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { DatabaseServer } from '#/core/database-servers.ts'
import type { Dialer } from '#/core/dialer.ts'
import { EdgeError, toEdgeError } from '#/core/errors.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import { type BackplaneHandler, createBackplaneServer } from './backplane.ts'
import { dialDatabase } from './dial-database.ts'
import { joinStreams } from './fence-stream.ts'

export type DoorKind = 'connect' | 'server'

export interface ProgramDoorsOptions {
  /** For the sockets: short, private. */
  readonly folder: string
  /** What is asked over HTTP, as at the backplane. */
  readonly handlers: Readonly<Record<string, BackplaneHandler>>
  readonly dialer: Dialer
  readonly serverOf: (id: string) => DatabaseServer | undefined
  readonly log: (message: string, facts?: object) => void
}

export interface ProgramDoors {
  /** `id`: of the server's resource, for `server`. */
  path(kind: DoorKind, program: ProgramName, id: string): string
  /** Closes those of programs that are not there any more. */
  keep(has: (program: ProgramName) => boolean): void
  close(): void
}

interface Door {
  readonly program: ProgramName
  readonly path: string
  readonly server: Pick<Server, 'close'>
}

export function createProgramDoors(options: ProgramDoorsOptions): ProgramDoors {
  const { folder, handlers, dialer, serverOf, log } = options
  const doors = new Map<string, Door>()
  let made = 0

  /** A way that fails is closed, which is all that the program can be told; the log says why. */
  function refuse(program: ProgramName, where: string, thrown: unknown): EdgeError {
    const error = toEdgeError(thrown)
    log('a connection of a program failed', { program, where, reason: error.message })
    return error
  }

  /** CONNECT (RFC 9110 §9.3.6): `where` is `host:port`. */
  async function tunnel(program: ProgramName, where: string, socket: Duplex, head: Buffer): Promise<void> {
    const left = new AbortController()
    socket.on('error', () => {})
    socket.once('close', () => left.abort())
    try {
      const { hostname: host, port } = new URL(`tcp://${where}`)
      if (port === '') throw new EdgeError('egress_refused', `${where} names no port.`)
      const literal = host.replace(/^\[|\]$/g, '')
      const outer = await dialer.dial({
        by: { program },
        host: literal,
        port: Number(port),
        tls: false,
        signal: left.signal,
      })
      socket.write('HTTP/1.1 200 Connected\r\n\r\n')
      if (head.length > 0) outer.write(head)
      joinStreams(socket, outer)
    } catch (thrown) {
      const { row } = refuse(program, where, thrown)
      socket.end(`HTTP/1.1 ${row.status} Refused\r\ncontent-length: 0\r\n\r\n`)
    }
  }

  async function toDatabase(program: ProgramName, id: string, socket: Socket): Promise<void> {
    const left = new AbortController()
    socket.on('error', () => {})
    socket.once('close', () => left.abort())
    try {
      const server = serverOf(id)
      if (server === undefined) throw new EdgeError('store_unknown', `There is no database server ${id}.`)
      joinStreams(socket, await dialDatabase(dialer, server, { program }, left.signal))
    } catch (thrown) {
      refuse(program, id, thrown)
      socket.destroy()
    }
  }

  function open(kind: DoorKind, program: ProgramName, id: string): Pick<Server, 'close'> {
    if (kind === 'server') return createServer((socket) => void toDatabase(program, id, socket))
    const server = createBackplaneServer(handlers)
    server.on('connect', (request, socket, head) => void tunnel(program, request.url ?? '', socket, head))
    return server
  }

  function shut(key: string, { server, path }: Door): void {
    doors.delete(key)
    server.close()
    rmSync(path, { force: true })
  }

  return {
    path(kind, program, id) {
      const key = `${kind} ${program} ${id}`
      const known = doors.get(key)
      if (known !== undefined) return known.path
      const path = join(folder, `d${++made}`)
      const server = open(kind, program, id) as Server
      server.listen(path)
      server.unref()
      doors.set(key, { program, path, server })
      return path
    },
    keep(has) {
      for (const [key, door] of doors) if (!has(door.program)) shut(key, door)
    },
    close() {
      for (const [key, door] of doors) shut(key, door)
    },
  }
}
