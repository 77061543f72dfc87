/**
 * Stands in for an entrypoint of another program that runs in another cell: requests, WebSockets and RPC calls go there.
 * Which one is in `props`: `program`, and where the binding names them `entrypoint` and its `props`.
 */
import { WorkerEntrypoint } from 'cloudflare:workers'

export interface Target {
  readonly program: string
  readonly entrypoint?: string
  readonly props?: Record<string, unknown>
  /** It is asked as the outbound Worker of a dispatch namespace. */
  readonly outbound?: boolean
  /** What a dispatcher grants the call. */
  readonly dispatched?: object
}

export interface Cells {
  readonly reach: Fetcher
  readonly cells: { connect(address: string): Promise<DebugPortClient> }
}

interface Environment extends Cells {
  /** Asks programs that are no Workers. */
  readonly calls: Fetcher
}

interface DebugPortClient {
  getEntrypoint(service: string, entrypoint?: string, props?: Record<string, unknown>): Remote
}

export type Remote = Record<string, (...parameters: unknown[]) => unknown>

/** The runtime asks an entrypoint for these by itself; they are not calls of the other program. */
export const reserved = new Set(['alarm', 'connect', 'self', 'tail', 'tailStream', 'test', 'then', 'trace'])

export default class ServiceForward extends WorkerEntrypoint<Environment, Target> {
  constructor(context: ExecutionContext<Target>, environment: Environment) {
    super(context, environment)
    const target = context.props
    // biome-ignore lint/correctness/noConstructorReturn: any method name has to be answered.
    return new Proxy(this, {
      get(self, name) {
        if (typeof name !== 'string' || reserved.has(name) || (name !== 'fetch' && Reflect.has(self, name)))
          return Reflect.get(self, name)
        return async (...parameters: unknown[]) => {
          const remote = await reach(environment, target)
          if (remote === 'compute') return callCompute(environment, target, name, parameters[0] as Request)
          return remote[name]!(...parameters)
        }
      },
    })
  }
}

/** A Compute program answers requests and nothing else. */
async function callCompute({ calls }: Environment, target: Target, name: string, request: Request): Promise<Response> {
  const { program, entrypoint } = target
  const lacks = entrypoint === undefined ? `method ${name}()` : `entrypoint ${entrypoint}`
  if (name !== 'fetch' || entrypoint !== undefined)
    throw new TypeError(`Service binding to ${program}: a Compute program has no ${lacks}, only fetch().`)
  const headers = new Headers(request.headers)
  headers.set('rimward-id', program)
  const answer = await calls.fetch(new Request(request, { headers, redirect: 'manual' }))
  if (answer.headers.has('rimward-failed')) throw new Error(`Service binding to ${program}: ${await answer.text()}`)
  return answer
}

/** `refused` makes what is thrown where the program cannot be reached, of a status as HTTP has them and a sentence. */
export async function reach(
  environment: Cells,
  target: Target,
  refused = (_status: number, why: string) => new Error(`Service binding to ${target.program}: ${why}`),
): Promise<Remote | 'compute'> {
  const place = await findPlace(environment, target, refused)
  return place.compute === true ? 'compute' : connect(environment, place)
}

/** Where a program answers. */
export interface Place {
  readonly address: string
  readonly service: string
  readonly entrypoint?: string
  readonly props?: Record<string, unknown>
  readonly compute?: true
  /** It has files that may answer first; `only`: and nothing else. */
  readonly files?: true | 'only'
}

export async function findPlace(
  environment: Pick<Cells, 'reach'>,
  target: Target,
  refused: (status: number, why: string) => Error,
): Promise<Place> {
  const answer = await environment.reach.fetch('http://reach/', { method: 'POST', body: JSON.stringify(target) })
  if (!answer.ok) throw refused(answer.status, await answer.text())
  return (await answer.json()) as Place
}

export async function connect({ cells }: Pick<Cells, 'cells'>, place: Place): Promise<Remote> {
  const client = await cells.connect(place.address)
  return client.getEntrypoint(place.service, place.entrypoint, place.props)
}
