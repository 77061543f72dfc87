/** In front of a program while it is the outbound Worker of a dispatch namespace: the dispatcher's parameters become part of its `env`. */
import { withEnv } from 'cloudflare:workers'

type Handler = (request: Request, env: unknown, ctx: ExecutionContext) => unknown
type EntrypointClass = new (ctx: ExecutionContext, env: unknown) => Record<string, unknown>

const parametersField = 'rimward-parameters'

function envWith(env: unknown, ctx: ExecutionContext): object {
  const { props } = ctx as unknown as { props?: Record<string, unknown> }
  return { ...(env as object), ...(props?.[parametersField] as object | undefined) }
}

/** `given`: handlers, or a class of an entrypoint. */
export function outbound(given: unknown): unknown {
  if (typeof given === 'function') {
    const Given = given as EntrypointClass
    return class extends Given {
      constructor(ctx: ExecutionContext, env: unknown) {
        super(ctx, envWith(env, ctx))
      }
    }
  }
  const known = given as { fetch?: Handler }
  if (typeof known.fetch !== 'function') return given
  return {
    ...known,
    fetch(request: Request, env: unknown, ctx: ExecutionContext) {
      const full = envWith(env, ctx)
      return withEnv(full, () => known.fetch!.call(known, request, full, ctx))
    },
  }
}
