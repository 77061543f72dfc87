/** Says what a program exports: the main module while a program is proven. `./program` stands for its main module. */
import { DurableObject, WorkerEntrypoint, WorkflowEntrypoint } from 'cloudflare:workers'

type Description = { name: string; kind: string; handlers: string[] }

const events = ['fetch', 'scheduled', 'queue', 'tail', 'tailStream', 'trace', 'email', 'test', 'alarm', 'connect']

/** Each export with its kind; `user` is the namespace of the program's main module. */
export function describeModule(user: Record<string, unknown>): Description[] {
  return Object.entries(user).map(([name, value]) => describe(name, value))
}

function describe(name: string, value: unknown): Description {
  if (typeof value === 'function') {
    const kind = classKind(value as { prototype?: object })
    const source = value.prototype as Record<string, unknown> | undefined
    return { name, kind, handlers: kind === 'other' || source === undefined ? [] : handlersOf(source) }
  }
  if (typeof value !== 'object' || value === null) return { name, kind: 'other', handlers: [] }
  const handlers = handlersOf(value as Record<string, unknown>)
  return { name, kind: handlers.length > 0 || name === 'default' ? 'handlers' : 'other', handlers }
}

function classKind(value: { prototype?: object }): string {
  const prototype = value.prototype
  if (prototype instanceof DurableObject) return 'object'
  if (prototype instanceof WorkerEntrypoint) return 'entrypoint'
  if (prototype instanceof WorkflowEntrypoint) return 'workflow'
  // Durable Objects older than the base class are plain classes with a fetch method.
  return prototype !== undefined && 'fetch' in prototype ? 'object' : 'other'
}

function handlersOf(source: Record<string, unknown>): string[] {
  return events.filter((event) => typeof source[event] === 'function')
}
