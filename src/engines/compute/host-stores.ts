/** What programs ask of their stores. Which store a name means is in this node's records of the deployment. */
import ipaddr from 'ipaddr.js'
import type { ComputeStore } from '#/core/compute.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { AccessLists, ConfigStores, KvStores, KvValue, SecretStores } from '#/core/ports.ts'
import { keepText, showText } from '#/core/text-metadata.ts'
import type { Clock } from '#/core/units.ts'
import type { HostCalls, HostRun } from './host-calls.ts'
import type { InsertWish, KvTrouble } from './inside/hostcalls/kv-calls.ts'
import { asHead } from './protocol.ts'
import { InBody } from './wire-body.ts'
import type { Head, InCall, Reply } from './wire-messages.ts'

export interface StoreParts {
  readonly kv: Pick<KvStores, 'get' | 'put' | 'delete' | 'list'>
  readonly configs: ConfigStores
  readonly secrets: Pick<SecretStores, 'get'>
  readonly accessLists: AccessLists
  readonly limits: Pick<Limits, 'kvValueBytes' | 'kvListKeys' | 'computeKvMetadataBytes'>
  readonly clock: Clock
}

/** Each attempt fails only when somebody else wrote the key in between. */
const attempts = 20

export function storeCalls(parts: StoreParts): HostCalls {
  const { kv, configs, secrets, accessLists } = parts
  return {
    'kv.get': async (run, head) =>
      withTrouble(async () => {
        const found = await kv.get(storeOf(run, 'kv', head), textOf(head, 'key'))
        if (found === undefined) return { head: { trouble: 'notFound' }, body: null }
        const { value, metadata, revision = 0 } = found
        const shown = metadata === undefined ? {} : { metadata: showText(metadata) }
        return { head: { ...shown, generation: String(revision) }, body: value }
      }),
    'kv.put': async (run, head, call) => {
      const value = await bodyOf(call, parts.limits.kvValueBytes)
      if (value === undefined) return { head: { trouble: 'payloadTooLarge' }, body: null }
      const store = storeOf(run, 'kv', head)
      return withTrouble(async () => {
        const trouble = await insert(parts, store, textOf(head, 'key'), value, head as unknown as InsertWish)
        return { head: { trouble }, body: null }
      })
    },
    'kv.delete': async (run, head) =>
      withTrouble(async () => ({
        head: { missing: !(await kv.delete(storeOf(run, 'kv', head), textOf(head, 'key'))) },
        body: null,
      })),
    'kv.list': async (run, head) => withTrouble(() => list(parts, storeOf(run, 'kv', head), head)),
    'config.get': async (run, head) => textReply(await configs.get(storeOf(run, 'config', head), textOf(head, 'key'))),
    'secret.get': async (run, head) => ({
      head: {},
      body: (await secrets.get(storeOf(run, 'secret', head), textOf(head, 'name'))) ?? null,
    }),
    'acl.lookup': async (run, head) => {
      const found = await accessLists.lookup(storeOf(run, 'access-list', head), textOf(head, 'address'))
      return textReply(found && JSON.stringify({ ...found, prefix: wholePrefix(found.prefix) }))
    },
  }
}

/** Fastly spells networks of IPv6 with all their digits: `2001:0db8:0000:…:0000/32`. */
function wholePrefix(prefix: string): string {
  const [address = '', bits] = prefix.split('/')
  if (!ipaddr.IPv6.isValid(address)) return prefix
  const groups = ipaddr.IPv6.parse(address).parts.map((part) => part.toString(16).padStart(4, '0'))
  return `${groups.join(':')}/${bits}`
}

function storeOf({ deployment }: HostRun, kind: ComputeStore['kind'], head: Head): string {
  const name = textOf(head, 'store')
  const linked = deployment.compute.stores.find((store) => store.kind === kind && store.name === name)
  if (linked === undefined) throw new EdgeError('bad_request', `There is no store ${name} of the kind ${kind}.`)
  return linked.store
}

export function textOf(head: Head, name: string): string {
  const value = head[name]
  if (typeof value !== 'string') throw new EdgeError('bad_request', `${name} is missing.`)
  return value
}

export function textReply(text: string | undefined): Reply {
  return { head: {}, body: text === undefined ? null : Buffer.from(text) }
}

/** What a store refuses is told to the program; the rest is this node's trouble. */
async function withTrouble(task: () => Promise<Reply>): Promise<Reply> {
  try {
    return await task()
  } catch (thrown) {
    const trouble = troubleOf(thrown)
    if (trouble === undefined) throw thrown
    return { head: { trouble }, body: null }
  }
}

function troubleOf(thrown: unknown): KvTrouble | undefined {
  if (!(thrown instanceof EdgeError)) return undefined
  if (thrown.code === 'bad_request' || thrown.code === 'url_too_long') return 'badRequest'
  if (thrown.code === 'body_too_large') return 'payloadTooLarge'
  if (thrown.code === 'overloaded') return 'tooManyRequests'
  return 'internalError'
}

/** Undefined: it is too large. Rejects when it breaks off. */
async function bodyOf({ body }: InCall, limitBytes: number): Promise<Uint8Array | undefined> {
  if (!(body instanceof InBody))
    return body !== null && body.length > limitBytes ? undefined : (body ?? Buffer.alloc(0))
  const chunks: Uint8Array[] = []
  let length = 0
  for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) {
    length += chunk.length
    if (length > limitBytes) {
      body.cancel()
      return undefined
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** What went wrong; nothing where the value was written. */
async function insert(
  { kv, clock, limits }: StoreParts,
  store: string,
  key: string,
  value: Uint8Array,
  { mode, metadata, ttlSeconds, generation }: InsertWish,
): Promise<KvTrouble | undefined> {
  const wanted = generation === undefined ? undefined : BigInt(generation)
  const facts: Omit<KvValue, 'value'> = {
    ...(metadata !== undefined && { metadata: keepText(metadata, limits) }),
    ...(ttlSeconds !== undefined && { expiresAt: clock() + ttlSeconds * 1000 }),
  }
  for (let attempt = 0; attempt < attempts; attempt++) {
    // Adding to a value needs the one that is there.
    const before = mode === 'append' || mode === 'prepend' ? await kv.get(store, key) : undefined
    const expect = expected(mode, wanted, before?.revision ?? 0)
    if (expect === 'failed') return 'preconditionFailed'
    const all = before === undefined ? value : joined(mode, before.value, value)
    const written = await kv.put(store, key, { ...facts, value: all }, expect === undefined ? {} : { expect })
    if (written !== undefined) return undefined
    if (mode === 'add' || wanted !== undefined) return 'preconditionFailed'
  }
  return 'tooManyRequests'
}

function joined(mode: InsertWish['mode'], before: Uint8Array, value: Uint8Array): Uint8Array {
  return Buffer.concat(mode === 'append' ? [before, value] : [value, before])
}

/** The revision that the key must have; undefined: any. */
function expected(mode: InsertWish['mode'], wanted: bigint | undefined, found: number): number | undefined | 'failed' {
  if (mode === 'add') return wanted === undefined || wanted === 0n ? 0 : 'failed'
  if (mode === 'overwrite') return wanted === undefined ? undefined : revisionOf(wanted)
  return wanted === undefined || wanted === BigInt(found) ? found : 'failed'
}

/** A generation that no revision can be is one that no key has. */
function revisionOf(generation: bigint): number | 'failed' {
  return generation <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(generation) : 'failed'
}

/** The page as Fastly's API answers it. https://www.fastly.com/documentation/reference/api/services/resources/kv-store-item/ */
async function list({ kv, limits }: StoreParts, store: string, head: Head): Promise<Reply> {
  const { prefix, cursor, limit = limits.kvListKeys } = head as { prefix?: string; cursor?: string; limit?: number }
  const wish = { ...(prefix !== undefined && { prefix }), ...(cursor !== undefined && { cursor }) }
  const page = await kv.list(store, { ...wish, limit })
  const meta = {
    limit,
    ...(prefix !== undefined && { prefix }),
    ...(page.cursor !== undefined && { next_cursor: page.cursor }),
  }
  const json = JSON.stringify({ data: page.keys.map(({ name }) => name), meta })
  return { head: asHead({}), body: Buffer.from(json) }
}
