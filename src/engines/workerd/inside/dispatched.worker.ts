/**
 * Runs before a program of a dispatch namespace. Everything that one call of the dispatcher leads to carries the call's
 * ticket, which the way out asks for, and nothing of what only trusted programs may see is there. The ticket says nothing
 * to whoever reads it; without one nothing leaves, so a program that throws its own away gains nothing.
 */

import { WorkerEntrypoint } from 'cloudflare:workers'
import { AsyncLocalStorage } from 'node:async_hooks'

type Handler = (event: unknown, env: unknown, ctx: ExecutionContext) => unknown
type EntrypointClass = new (ctx: ExecutionContext, env: unknown) => object
type Method = (...parameters: unknown[]) => unknown

const ticketField = 'rimward-ticket'
const tickets = new AsyncLocalStorage<string>()
const leave = globalThis.fetch

globalThis.fetch = async function fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input as RequestInfo, init)
  request.headers.set(ticketField, tickets.getStore() ?? '')
  return leave(request)
} as typeof fetch

if (typeof caches === 'object') {
  const given = caches
  const value = {
    open: (name: string) => given.open(name),
    get default(): never {
      throw new Error('caches.default is not there for Workers of a dispatch namespace: use caches.open().')
    },
  }
  Object.defineProperty(globalThis, 'caches', { value, configurable: true, writable: true })
}

function ticketOf(ctx: ExecutionContext): string {
  const { props } = ctx as unknown as { props?: Record<string, unknown> }
  const ticket = props?.[ticketField]
  return typeof ticket === 'string' ? ticket : ''
}

/** Without `request.cf`, which is for trusted programs. */
function untrusted(event: unknown): unknown {
  return event instanceof Request ? Object.defineProperty(event, 'cf', { value: undefined }) : event
}

function wrapClass(Given: EntrypointClass): EntrypointClass {
  const known = new WeakMap<object, string>()
  class Dispatched extends Given {
    constructor(ctx: ExecutionContext, env: unknown) {
      super(ctx, env)
      known.set(this, ticketOf(ctx))
    }
  }
  for (
    let proto = Given.prototype;
    proto !== null && proto !== WorkerEntrypoint.prototype;
    proto = Object.getPrototypeOf(proto)
  )
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(proto))) {
      if (typeof value !== 'function' || name === 'constructor' || Object.hasOwn(Dispatched.prototype, name)) continue
      const method = value as Method
      const run = function (this: object, ...parameters: unknown[]) {
        if (name === 'fetch') parameters[0] = untrusted(parameters[0])
        return tickets.run(known.get(this) ?? '', () => method.apply(this, parameters))
      }
      Object.defineProperty(Dispatched.prototype, name, { value: run, writable: true, configurable: true })
    }
  return Dispatched
}

/** `given`: an export of the program's main module; classes of objects stay as they are. */
export function dispatched(given: unknown): unknown {
  if (typeof given === 'function')
    return given.prototype instanceof WorkerEntrypoint ? wrapClass(given as EntrypointClass) : given
  if (typeof given !== 'object' || given === null) return given
  const known = given as Record<string, unknown>
  const wrapped: Record<string, unknown> = { ...known }
  for (const [name, handler] of Object.entries(known))
    if (typeof handler === 'function')
      wrapped[name] = (event: unknown, env: unknown, ctx: ExecutionContext) =>
        tickets.run(ticketOf(ctx), () => (handler as Handler).call(known, untrusted(event), env, ctx))
  return wrapped
}
