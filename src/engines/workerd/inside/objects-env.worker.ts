/**
 * Runs before a program with Durable Objects on a platform of many nodes. Its namespaces lead to wherever an object lives:
 * ids are those of the runtime's own namespace, calls go through `object-route.worker.ts`. Adds what the runtime leaves to
 * whoever embeds it: location hints and jurisdictions.
 */
import { env } from 'cloudflare:workers'
import { keyedDigest } from './rimward-sha256.worker.ts'

/** What the configuration says of one binding. */
interface BoundNamespace {
  /** Hex: what the runtime keys this namespace's ids with. */
  readonly idKey: string
}

interface ObjectsPlan {
  readonly program: string
  readonly bindings: Record<string, BoundNamespace>
  /** Code in an id by jurisdiction; see `core/object-ids.ts`. */
  readonly codes: Record<string, string>
  /** This node holds the lease without which no object runs. */
  readonly runs: boolean
}

type Id = DurableObjectId & { readonly jurisdiction?: string }
type Namespace = DurableObjectNamespace
type GetOptions = { locationHint?: string } | undefined

const holder = env as unknown as Record<string, unknown>
const plan = take('rimward:objects') as ObjectsPlan
const reach = take('rimward:reach') as Fetcher

function take(name: string): unknown {
  const value = holder[name]
  delete holder[name]
  return value
}

const freeBytes = 10

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

function join(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

const bytesOf = (text: string) => new TextEncoder().encode(text)

/** An id of the runtime's that says its jurisdiction. */
function withJurisdiction(id: DurableObjectId, jurisdiction: string, name?: string): Id {
  Object.defineProperty(id, 'jurisdiction', { value: jurisdiction, enumerable: true })
  if (name !== undefined) Object.defineProperty(id, 'name', { value: name, enumerable: true })
  return id as Id
}

function createNamespace(ids: Namespace, routes: Namespace, { idKey }: BoundNamespace, only?: string) {
  const key = fromHex(idKey)

  function make(free: Uint8Array, jurisdiction: string, name?: string): Id {
    const code = bytesOf(plan.codes[jurisdiction]!)
    const proof = keyedDigest(key, join(bytesOf('jurisdiction'), free, code)).subarray(0, 4)
    const own = join(free, proof, code)
    const whole = join(own, keyedDigest(key, own).subarray(0, 16))
    return withJurisdiction(ids.idFromString(toHex(whole)), jurisdiction, name)
  }

  function read(id: DurableObjectId): Id {
    const bytes = fromHex(id.toString())
    const code = bytes.subarray(freeBytes + 4, 16)
    const proof = keyedDigest(key, join(bytesOf('jurisdiction'), bytes.subarray(0, freeBytes), code)).subarray(0, 4)
    if (toHex(proof) !== toHex(bytes.subarray(freeBytes, freeBytes + 4))) return id
    const found = Object.entries(plan.codes).find(([, known]) => known === new TextDecoder().decode(code))
    return found === undefined ? id : withJurisdiction(id, found[0])
  }

  function check(jurisdiction: unknown): string {
    const name = String(jurisdiction)
    if (!Object.hasOwn(plan.codes, name))
      throw new TypeError(
        `There is no jurisdiction "${name}": a country such as "de", or "eu", "eea", "us", "fedramp".`,
      )
    return name
  }

  function stubOf(id: DurableObjectId, options: GetOptions): DurableObjectStub {
    const stub = routes.get(routes.idFromName(JSON.stringify([id.toString(), id.name ?? null])))
    Object.defineProperty(stub, 'id', { value: id, enumerable: true })
    Object.defineProperty(stub, 'name', { value: id.name, enumerable: true })
    if (options?.locationHint !== undefined) {
      // Calls on one stub arrive in order, so the hint is there before the first real one.
      const hint = (stub as unknown as Record<string, (hint: string) => Promise<void>>)['rimward:hint']!
      hint(String(options.locationHint)).catch(() => {})
    }
    return stub
  }

  const namespace = {
    newUniqueId(options?: { jurisdiction?: string | null }): Id {
      const jurisdiction = options?.jurisdiction ?? only
      if (only !== undefined && jurisdiction !== only)
        throw new TypeError(`newUniqueId called on the subnamespace of "${only}" with another jurisdiction`)
      if (jurisdiction === undefined || jurisdiction === null) return ids.newUniqueId()
      return make(crypto.getRandomValues(new Uint8Array(freeBytes)), check(jurisdiction))
    },
    idFromName(name: string): Id {
      if (only === undefined) return ids.idFromName(name)
      const free = keyedDigest(key, bytesOf(`name in ${only}: ${name}`)).subarray(0, freeBytes)
      return make(free, only, String(name))
    },
    idFromString(text: string): Id {
      const id = read(ids.idFromString(text))
      if (only !== undefined && id.jurisdiction !== only)
        throw new TypeError('The id is of another jurisdiction than this subnamespace.')
      return id
    },
    get(id: Id, options?: GetOptions): DurableObjectStub {
      // Refused by the runtime, in its words, where it is no id of this namespace.
      ids.get(id)
      if (only !== undefined && id.jurisdiction !== only)
        throw new TypeError('get called on jurisdictional subnamespace with an ID from a different jurisdiction')
      return stubOf(id, options)
    },
    getByName(name: string, options?: GetOptions): DurableObjectStub {
      return stubOf(namespace.idFromName(name), options)
    },
    getExisting(id: Id, options?: GetOptions): DurableObjectStub {
      return namespace.get(id, options)
    },
    jurisdiction(jurisdiction?: string | null) {
      if (jurisdiction === undefined || jurisdiction === null) return namespace
      return createNamespace(ids, routes, { idKey }, check(jurisdiction))
    },
  }
  return namespace
}

for (const [name, bound] of Object.entries(plan.bindings)) {
  const ids = take(`rimward:ids:${name}`) as Namespace
  holder[name] = createNamespace(ids, holder[name] as Namespace, bound)
}

type ObjectClass = new (state: DurableObjectState, environment: unknown) => object

/** The class as it may run: only where its objects live, and only under this node's lease. */
export function guardObject(given: unknown, className: string): unknown {
  if (typeof given !== 'function') return given
  const Given = given as ObjectClass
  const Guarded = class extends Given {
    constructor(state: DurableObjectState, environment: unknown) {
      // Before anything that the program's own constructor holds up.
      void state.blockConcurrencyWhile(() => mayRun(className, state.id.toString()))
      super(state, environment)
    }
  }
  Object.defineProperty(Guarded, 'name', { value: Given.name })
  return Guarded
}

async function mayRun(className: string, id: string): Promise<void> {
  if (!plan.runs) {
    const error = new Error('This node may not run Durable Objects now: it lost its lease. (object_away)')
    throw Object.assign(error, { retryable: true })
  }
  const body = JSON.stringify({ program: plan.program, objects: true, className, id })
  const answer = await reach.fetch('http://reach/', { method: 'POST', body })
  if (!answer.ok) throw new Error(await answer.text())
  const place = (await answer.json()) as { here?: true }
  if (place.here !== true)
    throw new Error(`This object of ${className} lives at another node; a binding reaches it, ctx.exports does not.`)
}
