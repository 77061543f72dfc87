/**
 * What calls from other nodes and cells meet first in a cell of its own, under names that are the same whatever version
 * runs: `Objects` and `Program`, as in shared cells.
 */
import { WorkerEntrypoint } from 'cloudflare:workers'

type Remote = Record<string, (...parameters: unknown[]) => unknown>

interface Environment {
  /** Service of the leading version. */
  readonly lead: string
  readonly cells: {
    current(): { getEntrypoint(service: string, entrypoint?: string, props?: object): Remote }
  }
  /** `objects:KEY` by key of the namespace. */
  readonly [objects: `objects:${string}`]: DurableObjectNamespace
}

interface ObjectProps {
  readonly key: string
  readonly id: string
  readonly name: string | null
}

interface ProgramProps {
  readonly entrypoint?: string
  readonly props?: Record<string, unknown>
}

/** The runtime asks an entrypoint for these by itself; they are not calls of another program. */
const reserved = new Set(['alarm', 'connect', 'self', 'tail', 'tailStream', 'test', 'then', 'trace'])

function passOn<Props>(meant: (environment: Environment, props: Props) => Remote): unknown {
  return class extends WorkerEntrypoint<Environment, Props> {
    constructor(context: ExecutionContext<Props>, environment: Environment) {
      super(context, environment)
      // biome-ignore lint/correctness/noConstructorReturn: any method name has to be answered.
      return new Proxy(this, {
        get(self, name) {
          if (typeof name !== 'string' || reserved.has(name) || (name !== 'fetch' && Reflect.has(self, name)))
            return Reflect.get(self, name)
          return (...parameters: unknown[]) => meant(environment, context.props)[name]!(...parameters)
        },
      })
    }
  }
}

export const Objects = passOn<ObjectProps>((environment, { key, id, name }) => {
  const namespace = environment[`objects:${key}`]
  if (namespace === undefined) throw new Error('The program has no such Durable Object class any more.')
  const named = name === null ? undefined : namespace.idFromName(name)
  return namespace.get(named?.toString() === id ? named : namespace.idFromString(id)) as unknown as Remote
})

export const Program = passOn<ProgramProps>((environment, { entrypoint, props }) =>
  environment.cells.current().getEntrypoint(environment.lead, entrypoint, props ?? {}),
)

export default {}
