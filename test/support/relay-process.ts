/** Relays in a process of their own, so that no other work delays what passes them; told what to do by `relays-apart.ts`. */
import { openRelay, type Relay } from './relay.ts'
import type { RelayOrder } from './relays-apart.ts'

interface Held {
  readonly relay: Relay
  port: number
}

const relays: Held[] = []

async function obey(order: RelayOrder): Promise<number | undefined> {
  if (order.kind === 'open') {
    const held: Held = {
      port: 0,
      relay: await openRelay(() => ({ host: '127.0.0.1', port: held.port }), order.oneWayMs),
    }
    relays.push(held)
    return held.relay.port
  }
  const held = relays.find(({ relay }) => relay.port === order.relay)!
  if (order.kind === 'aim') held.port = order.port
  else held.relay[order.kind]()
  return undefined
}

// In order: a relay is aimed before anybody is told that it was.
let last: Promise<unknown> = Promise.resolve()
process.on('message', ({ id, order }: { id: number; order: RelayOrder }) => {
  last = last.then(async () => process.send!({ id, port: await obey(order) }))
})
process.on('disconnect', () => process.exit(0))
