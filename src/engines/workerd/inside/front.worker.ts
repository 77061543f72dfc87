/**
 * Runs before a program that has a cache in front of it, and gives its default export `ctx.cache`, which the runtime leaves
 * to whoever embeds it.
 */
import { env } from 'cloudflare:workers'

/** A name that no binding can have; taken away before the program's own modules run. */
const name = 'rimward:purge'
const holder = env as unknown as Record<string, Fetcher>
const wire = holder[name]!
delete holder[name]

const cache = {
  async purge(options: unknown): Promise<unknown> {
    const answer = await wire.fetch('http://purge/', { method: 'POST', body: JSON.stringify(options ?? null) })
    if (!answer.ok) throw new Error(await answer.text())
    return answer.json()
  },
  async invalidate(): Promise<never> {
    throw new Error('ctx.cache.invalidate() is not supported by Rimward: use ctx.cache.purge()')
  },
}

function attach(ctx: ExecutionContext): ExecutionContext {
  return Object.defineProperty(ctx, 'cache', { value: cache, configurable: true, enumerable: true })
}

type Handler = (event: unknown, env: unknown, ctx: ExecutionContext) => unknown
type EntrypointClass = new (ctx: ExecutionContext, env: unknown) => object

const handlers = ['fetch', 'scheduled', 'queue', 'tail', 'tailStream', 'trace', 'email', 'test']

/** `given`: handlers, or a class of an entrypoint. */
export function withCache(given: unknown): unknown {
  if (typeof given === 'function') {
    const Given = given as EntrypointClass
    return class extends Given {
      constructor(ctx: ExecutionContext, env: unknown) {
        super(attach(ctx), env)
      }
    }
  }
  const known = given as Record<string, Handler | undefined>
  const wrapped: Record<string, unknown> = { ...known }
  for (const handler of handlers) {
    if (typeof known[handler] !== 'function') continue
    wrapped[handler] = (event: unknown, env: unknown, ctx: ExecutionContext) =>
      known[handler]!.call(known, event, env, attach(ctx))
  }
  return wrapped
}
