/**
 * Runs in every shared cell, in front of the programs: starts each one through the loader when it is first asked for,
 * hands requests over, and holds what programs may reach (`env`, `fetch()`), so that no program holds a way to Node
 * itself. Talks to `backplane.ts` over the cell's own socket.
 */
import { WorkerEntrypoint } from 'cloudflare:workers'
import { deliverEvent } from './events.worker.ts'
import { type EverywhereTarget, type EverywhereWays, listPops, mapEverywhere } from './everywhere.worker.ts'
import { ask, egress, type HostEnv } from './host-ways.worker.ts'
import { leave } from './leave.worker.ts'

export { Assets, Cache, Egress, Kv, Purge, Tail } from './host-ways.worker.ts'

/** The head of a code answer: 4 bytes length, this JSON, then the modules' bytes one behind the other. */
interface CodeHead {
  readonly program: string
  readonly deployment: string
  readonly compatibilityDate: string
  readonly compatibilityFlags: string[]
  readonly mainModule: string
  readonly modules: readonly { name: string; kind: 'esm' | 'cjs' | 'text' | 'data' | 'json' | 'wasm'; bytes: number }[]
  readonly bindings: readonly HostBinding[]
  /** A cache stands in front of it. */
  readonly front: boolean
  /** It belongs to a dispatch namespace. */
  readonly dispatched: boolean
}

type HostBinding =
  | { kind: 'value'; name: string; value: unknown }
  | { kind: 'kv'; name: string; store: string }
  | { kind: 'assets'; name: string }
  | { kind: 'program'; name: string; program: string; entrypoint?: string; props?: Record<string, unknown> }
  | { kind: 'everywhere'; name: string; target: EverywhereTarget }
  | { kind: 'bytes'; name: string; bytes: number }

type Exports = Record<string, (options: { props: Record<string, unknown> }) => Fetcher>

/** Which isolate of which program: `DEPLOYMENT.GENERATION`, with `.t` when its traces are wanted, with `.o` as an outbound Worker. */
type IsolateId = string

const wrapperName = 'rimward:main.js'
const preludeName = 'rimward:prelude.js'
const cacheName = 'rimward:cache'
const frontName = 'rimward:front.js'
const purgeName = 'rimward:purge'
const dispatchedName = 'rimward:dispatched.js'
const outboundName = 'rimward:outbound.js'

async function fetchCode(env: HostEnv, id: IsolateId): Promise<ArrayBuffer> {
  const response = await ask(env, 'code', id)
  if (response.status !== 200) throw new Error(await response.text())
  return response.arrayBuffer()
}

/** `sent`: the code, when it came with the order to start. */
async function readCode(
  env: HostEnv,
  ctx: ExecutionContext,
  id: IsolateId,
  sent?: Promise<ArrayBuffer>,
): Promise<WorkerLoaderWorkerCode> {
  const all = await (sent ?? fetchCode(env, id))
  const headBytes = new DataView(all).getUint32(0)
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(all, 4, headBytes))) as CodeHead
  let at = 4 + headBytes
  const take = (bytes: number): ArrayBuffer => {
    at += bytes
    return all.slice(at - bytes, at)
  }
  const text = (bytes: ArrayBuffer) => new TextDecoder().decode(bytes)
  const modules: Record<string, WorkerLoaderModule> = {}
  for (const module of head.modules) {
    const bytes = take(module.bytes)
    modules[module.name] =
      module.kind === 'esm'
        ? { js: text(bytes) }
        : module.kind === 'json'
          ? { json: JSON.parse(text(bytes)) }
          : module.kind === 'data' || module.kind === 'wasm'
            ? { [module.kind]: bytes }
            : { [module.kind]: text(bytes) }
  }
  const programEnv: Record<string, unknown> = {}
  const wrapped: Record<string, string> = {}
  const { Kv, Assets, Cache, Purge, Program, Everywhere, Egress, Leave, Tail } = ctx.exports as unknown as Exports
  for (const binding of head.bindings) {
    const { name } = binding
    if (binding.kind === 'value') programEnv[name] = binding.value
    else if (binding.kind === 'bytes') programEnv[name] = take(binding.bytes)
    else if (binding.kind === 'assets') programEnv[name] = Assets!({ props: { deployment: head.deployment } })
    else if (binding.kind === 'everywhere')
      programEnv[name] = Everywhere!({ props: { ...binding.target, asker: head.program } })
    else if (binding.kind === 'program') {
      const { program, entrypoint, props } = binding
      programEnv[name] = Program!({ props: { program, entrypoint, props } })
    } else {
      programEnv[name] = Kv!({ props: { store: binding.store } })
      wrapped[name] = 'kv'
    }
  }
  // Who builds the name out of pieces hears from the runtime that there is no cache.
  const usesCaches = Object.values(modules).some((module) => (module.js ?? module.cjs)?.includes('caches'))
  // Under a name that no binding can have; the prelude takes it away before the program's own modules run.
  if (usesCaches) programEnv[cacheName] = Cache!({ props: { program: head.program } })
  // Each module of ours costs a tenth of a millisecond at the first request, so it is there only where it is needed.
  const usesPrelude = usesCaches || Object.keys(wrapped).length > 0
  if (usesPrelude) modules[preludeName] = { js: env.PRELUDE.replace("'RIMWARD_WRAPPED'", JSON.stringify(wrapped)) }
  if (head.front) {
    programEnv[purgeName] = Purge!({ props: { program: head.program } })
    modules[frontName] = { js: env.FRONT }
  }
  const marks = id.split('.')
  const fronts = [
    ...(head.dispatched ? [{ name: dispatchedName, js: env.DISPATCHED, wrap: 'dispatched' }] : []),
    ...(head.front ? [{ name: frontName, js: env.FRONT, wrap: 'withCache' }] : []),
    ...(marks.includes('o') ? [{ name: outboundName, js: env.OUTBOUND, wrap: 'outbound' }] : []),
  ]
  for (const { name, js } of fronts) modules[name] = { js }
  modules[wrapperName] = { js: wrapperText(head.mainModule, usesPrelude, fronts) }
  return {
    compatibilityDate: head.compatibilityDate,
    compatibilityFlags: head.compatibilityFlags,
    mainModule: wrapperName,
    modules,
    env: programEnv,
    globalOutbound: (head.dispatched ? Leave : Egress)!({ props: { program: head.program } }),
    ...(marks.includes('t') ? { tails: [Tail!({ props: { deployment: head.deployment } })] } : {}),
  }
}

interface Front {
  readonly name: string
  /** What of it wraps the default export of those before it. */
  readonly wrap: string
}

/** The program behind modules of ours, which run before it. */
function wrapperText(mainModule: string, usesPrelude: boolean, fronts: readonly Front[]): string {
  const main = JSON.stringify(`./${mainModule}`)
  const imports = fronts.map(({ name, wrap }) => `import { ${wrap} } from ${JSON.stringify(`./${name}`)}`)
  const wrapped = fronts.reduce((inner, { wrap }) => `${wrap}(${inner})`, 'program.default ?? {}')
  // The prelude first: what it makes is what the others change.
  return `${usesPrelude ? `import ${JSON.stringify(`./${preludeName}`)}` : ''}
${imports.join('\n')}
import * as program from ${main}
import { abortIsolate, WorkerEntrypoint } from 'cloudflare:workers'
export * from ${main}
export default ${wrapped}
export class RimwardControl extends WorkerEntrypoint { evict() { abortIsolate("evicted") } ready() {} }`
}

function load(env: HostEnv, ctx: ExecutionContext, id: IsolateId, sent?: Promise<ArrayBuffer>): WorkerStub {
  return env.LOADER.get(id, () =>
    readCode(env, ctx, id, sent).catch((error: Error) => {
      // In the runtime's own words for a start that failed, so that the next request tries under another name.
      throw new Error(`Failed to start Worker:\n${error.message}`)
    }),
  )
}

/** A failure of the program, for `answer-of.ts`: what was thrown, as JSON. */
function failed(thrown: unknown): Response {
  const error = thrown as { name?: string; message?: string; stack?: string }
  const told =
    thrown instanceof Error
      ? { name: error.name, message: error.message, stack: error.stack }
      : { name: 'Error', message: String(thrown) }
  return Response.json(told, { status: 500, headers: { 'rimward-failed': '1' } })
}

export default {
  async fetch(request, env, ctx) {
    const id = request.headers.get('rimward-program')!
    if (id.startsWith('!')) return command(id, request, env, ctx)
    try {
      const headers = new Headers(request.headers)
      headers.delete('rimward-program')
      return await load(env, ctx, id).getEntrypoint().fetch(request, { headers })
    } catch (thrown) {
      return failed(thrown)
    }
  },
} satisfies ExportedHandler<HostEnv>

/**
 * What the pool asks of the cell: `!warm ID` (with the code as its body, or to be asked for), `!evict ID`, `!routes`
 * (forget which deployment a program means); `!event ID`, of the host with a flag for it only.
 */
async function command(line: string, request: Request, env: HostEnv, ctx: ExecutionContext): Promise<Response> {
  const [verb, id = ''] = line.slice(1).split(' ')
  if (verb === 'routes') {
    routes = new Map()
    return new Response()
  }
  // Read even when the isolate is there already: a body that is left unread costs the connection.
  const sent = request.body === null ? undefined : request.arrayBuffer()
  if (verb === 'event') {
    const runs = (program: string, init: object) => ask(env, 'workflow-run', program, { method: 'POST', ...init })
    return deliverEvent({ named: (name) => load(env, ctx, id).getEntrypoint(name), runs }, sent!)
  }
  const control = load(env, ctx, id, sent).getEntrypoint('RimwardControl') as unknown as {
    evict(): Promise<void>
    ready(): Promise<void>
  }
  try {
    // Evicting ends the call that asks for it: its failure is its success.
    if (verb === 'evict') await control.evict().catch(() => {})
    // The request that starts an isolate must last until it has started, or it would never start again.
    else await control.ready()
    return new Response()
  } catch (thrown) {
    return failed(thrown)
  }
}

/** Program → isolate, as of this Snapshot. Values only: a promise of one request must not be awaited by another. */
let routes = new Map<string, IsolateId>()

/** `asked` is a program, or one with ` o` behind it as an outbound Worker. */
async function isolateOf(env: HostEnv, asked: string): Promise<IsolateId> {
  const known = routes.get(asked)
  if (known !== undefined) return known
  const current = routes
  const response = await ask(env, 'route', asked)
  const isolate = await response.text()
  if (response.status !== 200) throw new Error(isolate)
  // Into the map of when it was asked: after a new Snapshot nobody looks there any more.
  current.set(asked, isolate)
  return isolate
}

interface ProgramProps {
  readonly program: string
  readonly entrypoint?: string
  readonly props?: Record<string, unknown>
  /** It is asked as the outbound Worker of a dispatch namespace. */
  readonly outbound?: boolean
}

/** A service binding: every method but the entrypoint's own is passed on to the program that is meant. */
export class Program extends WorkerEntrypoint<HostEnv, ProgramProps> {
  constructor(ctx: ExecutionContext<ProgramProps>, env: HostEnv) {
    super(ctx, env)
    // biome-ignore lint/correctness/noConstructorReturn: the names of a program's methods are not known here
    return new Proxy(this, {
      get(target, name) {
        const { env, ctx } = target as unknown as { env: HostEnv; ctx: ExecutionContext<ProgramProps> }
        if (name in target || typeof name !== 'string') return Reflect.get(target, name)
        return async (...given: unknown[]) => {
          const found = await meant(env, ctx)
          if (found === 'compute') throw onlyFetch(ctx.props, `method ${name}()`)
          const stub = found as unknown as Record<string, (...given: unknown[]) => unknown>
          return stub[name]!(...given)
        }
      },
    })
  }

  override async fetch(request: Request): Promise<Response> {
    const found = await meant(this.env, this.ctx)
    return found === 'compute' ? callCompute(this.env, this.ctx.props, request) : found.fetch(request)
  }
}

/** The network, for a program of a dispatch namespace; see `leave.worker.ts`. */
export class Leave extends WorkerEntrypoint<HostEnv, { program: string }> {
  override fetch(request: Request): Promise<Response> {
    const { env, ctx } = this
    const { program } = ctx.props
    const { Program } = ctx.exports as unknown as Exports
    return leave(
      {
        ask: (ticket) => ask(env, 'leave', program, { method: 'POST', body: ticket }),
        out: (request) => egress(env, program, request),
        through: async (program, parameters) =>
          Program!({ props: { program, outbound: true, props: { 'rimward-parameters': parameters } } }),
      },
      request,
    )
  }
}

/** `env.EVERYWHERE`; see `everywhere.worker.ts`. */
export class Everywhere extends WorkerEntrypoint<HostEnv, EverywhereTarget & { readonly asker: string }> {
  map(method: string, parameters?: unknown[], options?: object) {
    return mapEverywhere(this.#ways(), this.#target(), method, parameters, options)
  }

  pops(options?: object) {
    return listPops(this.#ways(), this.#target(), options)
  }

  #target(): EverywhereTarget {
    const { asker: _, ...target } = this.ctx.props
    return target
  }

  #ways(): EverywhereWays {
    const { env, ctx } = this
    return {
      ask: (body) => ask(env, 'reach', ctx.props.asker, { method: 'POST', body: JSON.stringify(body) }),
      connect: (address) => env.CELLS.connect(address) as unknown as ReturnType<EverywhereWays['connect']>,
    }
  }
}

/** A Compute program answers requests and nothing else. */
async function callCompute(env: HostEnv, props: ProgramProps, request: Request): Promise<Response> {
  const { program, entrypoint } = props
  if (entrypoint !== undefined) throw onlyFetch(props, `entrypoint ${entrypoint}`)
  const headers = new Headers(request.headers)
  headers.set('rimward-kind', 'call')
  headers.set('rimward-id', program)
  const answer = await env.EGRESS.fetch(new Request(request, { headers, redirect: 'manual' }))
  if (answer.headers.has('rimward-failed')) throw new Error(`Service binding to ${program}: ${await answer.text()}`)
  return answer
}

function onlyFetch({ program }: ProgramProps, lacks: string): TypeError {
  return new TypeError(`Service binding to ${program}: a Compute program has no ${lacks}, only fetch().`)
}

async function meant(env: HostEnv, ctx: ExecutionContext<ProgramProps>): Promise<Fetcher | 'compute'> {
  const { program, entrypoint, props, outbound } = ctx.props
  const isolate = await isolateOf(env, outbound === true ? `${program} o` : program)
  if (isolate === 'compute') return isolate
  if (isolate === 'own') return elsewhere(env, ctx.props)
  return load(env, ctx, isolate).getEntrypoint(entrypoint, props === undefined ? {} : { props })
}

/** The program has a cell of its own, which may be another process by now: asked each time. */
async function elsewhere(env: HostEnv, target: ProgramProps): Promise<Fetcher> {
  const answer = await ask(env, 'reach', target.program, { method: 'POST', body: JSON.stringify(target) })
  if (answer.status !== 200) throw new Error(await answer.text())
  const { address, service, entrypoint, props } = (await answer.json()) as {
    address: string
    service: string
  } & ProgramProps
  return (await env.CELLS.connect(address)).getEntrypoint(service, entrypoint, props)
}
