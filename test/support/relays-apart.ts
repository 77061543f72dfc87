/** Long lines between processes: relays in a process of their own. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export type RelayOrder =
  | { readonly kind: 'open'; readonly oneWayMs: number }
  | { readonly kind: 'aim'; readonly relay: number; readonly port: number }
  | { readonly kind: 'cut' | 'heal'; readonly relay: number }

export interface RelaysApart {
  /** Resolves with the relay's port on 127.0.0.1, by which it is named. */
  open(oneWayMs: number): Promise<number>
  /** What a relay leads to, for connections from now on. */
  aim(relay: number, port: number): Promise<void>
  /** As of `relay.ts`. */
  cut(relays: readonly number[]): Promise<void>
  heal(relays: readonly number[]): Promise<void>
  close(): void
}

const script = fileURLToPath(new URL('relay-process.ts', import.meta.url))

export function startRelaysApart(): RelaysApart {
  const child = fork(script, { execArgv: ['--disable-warning=ExperimentalWarning'] })
  const waiting = new Map<number, (port: number | undefined) => void>()
  let count = 0
  child.on('message', ({ id, port }: { id: number; port?: number }) => {
    waiting.get(id)?.(port)
    waiting.delete(id)
  })
  function tell(order: RelayOrder): Promise<number | undefined> {
    const { promise, resolve } = Promise.withResolvers<number | undefined>()
    waiting.set(++count, resolve)
    child.send({ id: count, order })
    return promise
  }
  const tellAll = async (kind: 'cut' | 'heal', relays: readonly number[]) => {
    await Promise.all(relays.map((relay) => tell({ kind, relay })))
  }
  return {
    open: async (oneWayMs) => (await tell({ kind: 'open', oneWayMs }))!,
    aim: async (relay, port) => void (await tell({ kind: 'aim', relay, port })),
    cut: (relays) => tellAll('cut', relays),
    heal: (relays) => tellAll('heal', relays),
    close: () => child.disconnect(),
  }
}
