/** Ways between nodes that tests can cut, silence and heal. */
import { createConnection } from 'node:net'
import { Duplex } from 'node:stream'
import type { DialSocket } from './dial-node.ts'

export interface Ways {
  /** What the node `from` dials with. */
  dialFrom(from: string): DialSocket
  /** Connections end, and new ones are refused. */
  cut(one: string, other: string): void
  /** Connections stay and may be made, but no byte passes. */
  silence(one: string, other: string): void
  /** What was cut or silent passes again; what was held back meanwhile is lost with its connection. */
  heal(one: string, other: string): void
}

interface Way {
  readonly ends: Set<Duplex>
  state: 'open' | 'cut' | 'silent'
}

export function createWays(): Ways {
  const ways = new Map<string, Way>()
  function wayOf(one: string, other: string): Way {
    const name = [one, other].toSorted().join(' ')
    const way = ways.get(name) ?? { ends: new Set(), state: 'open' }
    ways.set(name, way)
    return way
  }
  function turn(way: Way, state: Way['state'], from: readonly Way['state'][]): void {
    const breaks = from.includes(way.state)
    way.state = state
    if (breaks) for (const end of way.ends) end.destroy()
  }
  return {
    dialFrom: (from) => (entry) => {
      const way = wayOf(from, entry.node)
      const end = openEnd(way, entry.address)
      way.ends.add(end)
      end.once('close', () => way.ends.delete(end))
      if (way.state === 'cut') end.destroy(new Error('the way is cut'))
      return end
    },
    cut: (one, other) => turn(wayOf(one, other), 'cut', ['open', 'silent']),
    silence: (one, other) => turn(wayOf(one, other), 'silent', []),
    heal: (one, other) => turn(wayOf(one, other), 'open', ['silent']),
  }
}

function openEnd(way: Way, address: { readonly host: string; readonly port: number }): Duplex {
  const socket = createConnection({ ...address, noDelay: true })
  const end = new Duplex({
    read: () => void socket.resume(),
    write(chunk: Buffer, _, done) {
      // As into the kernel's buffer: it is taken, and goes nowhere.
      if (way.state === 'silent') done()
      else socket.write(chunk, done)
    },
    final: (done) => void socket.end(done),
    destroy(error, done) {
      socket.destroy()
      done(error)
    },
  })
  socket.on('data', (chunk) => {
    if (way.state === 'open' && !end.push(chunk)) socket.pause()
  })
  socket.on('end', () => way.state === 'open' && end.push(null))
  socket.on('error', (error) => end.destroy(error))
  socket.on('close', () => way.state === 'open' && end.destroy())
  return end
}
