/**
 * Stands in for the Durable Objects of another program: same ids (the namespace has the same key), no storage. Each call
 * goes to the cell that owns the object, wherever it runs now.
 */
import { DurableObject } from 'cloudflare:workers'

interface Environment {
  readonly reach: Fetcher
  readonly cells: DebugPort
}

interface DebugPort {
  connect(address: string): Promise<DebugPortClient>
}

interface DebugPortClient {
  getEntrypoint(
    service: string,
    entrypoint: string,
    props: object,
  ): Record<string, (...parameters: unknown[]) => unknown>
  getActor(service: string, className: string, id: string): Record<string, (...parameters: unknown[]) => unknown>
}

/** The runtime asks a class for these by itself; they are not calls of the other program. */
const reserved = new Set(['alarm', 'connect', 'test', 'then', 'webSocketClose', 'webSocketError', 'webSocketMessage'])

/** A class whose objects are those of `className` of `program`. */
export function forwardObject(program: string, className: string): unknown {
  return class extends DurableObject<Environment> {
    constructor(state: DurableObjectState, environment: Environment) {
      super(state, environment)
      const id = state.id.toString()
      // biome-ignore lint/correctness/noConstructorReturn: any method name has to be answered.
      return new Proxy(this, {
        get(target, name) {
          if (typeof name !== 'string' || reserved.has(name) || (name !== 'fetch' && Reflect.has(target, name)))
            return Reflect.get(target, name)
          return async (...parameters: unknown[]) => {
            const object = await owner(environment, program, className, id)
            return object[name]!(...parameters)
          }
        },
      })
    }
  }
}

async function owner(environment: Environment, program: string, className: string, id: string) {
  const answer = await environment.reach.fetch('http://reach/', {
    method: 'POST',
    body: JSON.stringify({ program, objects: true, className, id }),
  })
  if (!answer.ok) {
    const error = new Error(`Durable Object class ${className} of ${program}: ${await answer.text()}`)
    // The runtime carries this word to the caller: another try may go through.
    throw answer.status === 503 ? Object.assign(error, { retryable: true }) : error
  }
  const { address, service, key } = (await answer.json()) as { address: string; service: string; key?: string }
  const client = await environment.cells.connect(address)
  // On a platform of many nodes the way leads to the host of the cell, which knows its classes by their keys.
  if (key !== undefined) return client.getEntrypoint('host', 'Objects', { key, id, name: null })
  return client.getActor(service, className, id)
}
