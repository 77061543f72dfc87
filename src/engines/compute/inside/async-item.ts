/** What a program may wait for: bodies, pending answers, lookups. Anything held by a handle with these two members is one. */
import type { Sandbox } from './sandbox.ts'
import { refuse, status } from './status.ts'

export interface AsyncItem {
  /** The next call on it need not wait. */
  readonly ready: boolean
  /** Calls back once `ready` is true. */
  whenReady(callback: () => void): void
}

/** Throws `bad handle` for what cannot be waited for. */
export function asyncItem(sandbox: Sandbox, handle: number): AsyncItem {
  const held = sandbox.handles.any(handle) as Partial<AsyncItem>
  if (typeof held.whenReady !== 'function') refuse(status.badHandle)
  return held as AsyncItem
}

/** The select that a program waits in; items that become ready wake it, and the end of the request ends it. */
const selecting = new WeakMap<Sandbox, { look(): void; end(): void }>()
/** Items that will call back already: selecting again and again must not pile callbacks up. */
const watched = new WeakSet<AsyncItem>()

const idle = { look() {}, end() {} }

/** Index of the first that is ready; undefined when the time is over. `timeoutMs` 0: no bound. */
export function selectItem(
  sandbox: Sandbox,
  items: readonly AsyncItem[],
  timeoutMs: number,
): number | undefined | Promise<number | undefined> {
  const now = items.findIndex((item) => item.ready)
  if (now !== -1) return now
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  const settle = (index: number | undefined) => {
    clearTimeout(timer)
    selecting.set(sandbox, idle)
    resolve(index)
  }
  const timer = timeoutMs > 0 ? setTimeout(settle, timeoutMs, undefined) : undefined
  if (!selecting.has(sandbox)) sandbox.onEnd(() => selecting.get(sandbox)?.end())
  selecting.set(sandbox, {
    look() {
      const index = items.findIndex((item) => item.ready)
      if (index !== -1) settle(index)
    },
    end: () => settle(undefined),
  })
  for (const item of items) {
    if (watched.has(item)) continue
    watched.add(item)
    item.whenReady(() => {
      watched.delete(item)
      selecting.get(sandbox)?.look()
    })
  }
  return promise
}
