/**
 * Stands for Durable Objects on a platform of many nodes: each call goes to where its object lives, in this cell, in
 * another one, or at another node. Its own ids are names: `[id, name]` of the object that is meant, as JSON.
 */
import { DurableObject } from 'cloudflare:workers'

type Remote = Record<string, (...parameters: unknown[]) => unknown>

interface Environment {
  readonly reach: Fetcher
  readonly cells: { connect(address: string): Promise<DebugPortClient> }
  /** `own:CLASS`: the namespaces that this cell itself runs. */
  readonly [own: `own:${string}`]: DurableObjectNamespace
}

interface DebugPortClient {
  getEntrypoint(service: string, entrypoint: string, props: object): Remote
}

/** The runtime asks a class for these by itself; they are not calls to the object. */
const reserved = new Set(['alarm', 'connect', 'test', 'then', 'webSocketClose', 'webSocketError', 'webSocketMessage'])

type Found = { readonly here: true } | { readonly here?: undefined; readonly address: string; readonly key: string }

interface Route {
  readonly program: string
  readonly className: string
  readonly id: string
  readonly name: string | null
  hint?: string
  /** The last one that was found, and where. */
  remote?: Remote
  address?: string
}

/** A class that stands for `className` of `program`. */
export function routeObject(program: string, className: string): unknown {
  return class extends DurableObject<Environment> {
    constructor(state: DurableObjectState, environment: Environment) {
      super(state, environment)
      const [id, name] = JSON.parse(state.id.name!) as [string, string | null]
      const route: Route = { program, className, id, name }
      // biome-ignore lint/correctness/noConstructorReturn: any method name has to be answered.
      return new Proxy(this, {
        get(target, method) {
          if (method === 'rimward:hint')
            return (hint: string) => {
              route.hint = hint
            }
          if (typeof method !== 'string' || reserved.has(method) || (method !== 'fetch' && Reflect.has(target, method)))
            return Reflect.get(target, method)
          return (...parameters: unknown[]) => call(environment, route, method, parameters)
        },
      })
    }
  }
}

async function call(environment: Environment, route: Route, method: string, parameters: unknown[]): Promise<unknown> {
  const object = await follow(environment, route)
  try {
    return await object[method]!(...parameters)
  } catch (error) {
    if (route.address === '' || !/^(Network connection lost|.*disconnected)/i.test(String((error as Error).message)))
      throw error
    // Why it broke off: the other side is away, or was only restarted.
    delete route.remote
    await find(environment, route)
    throw error
  }
}

async function follow(environment: Environment, route: Route): Promise<Remote> {
  // What runs in this cell goes on living here for as long as the cell does.
  if (route.remote !== undefined && route.address === '') return route.remote
  const found = await find(environment, route)
  if (found.here === true) {
    route.address = ''
    route.remote = ownObject(environment, route)
    return route.remote
  }
  if (route.remote !== undefined && route.address === found.address) return route.remote
  const client = await environment.cells.connect(found.address)
  route.address = found.address
  route.remote = client.getEntrypoint('host', 'Objects', { key: found.key, id: route.id, name: route.name })
  return route.remote
}

async function find(environment: Environment, { program, className, id, hint }: Route): Promise<Found> {
  const answer = await environment.reach.fetch('http://reach/', {
    method: 'POST',
    body: JSON.stringify({ program, objects: true, className, id, hint }),
  })
  if (answer.ok) return answer.json()
  const error = new Error(`Durable Object of ${className} (${program}): ${await answer.text()}`)
  // The runtime carries this word, and no other, to the caller: another try may go through.
  throw answer.status === 503 ? Object.assign(error, { retryable: true }) : error
}

function ownObject(environment: Environment, { className, id, name }: Route): Remote {
  const namespace = environment[`own:${className}`]!
  const named = name === null ? undefined : namespace.idFromName(name)
  return namespace.get(named?.toString() === id ? named : namespace.idFromString(id)) as unknown as Remote
}
