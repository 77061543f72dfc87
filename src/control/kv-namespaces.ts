/**
 * The register of key-value namespaces: ids and titles, one document under compare-and-set, so that a title is taken once.
 */
import { randomBytes } from 'node:crypto'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Fabric, KvStores } from '#/core/ports.ts'
import type { Clock, EpochMs } from '#/core/units.ts'

export interface KvNamespace {
  /** 32 hex digits; also the name of the store. */
  readonly id: string
  readonly title: string
  readonly createdAt: EpochMs
}

export interface KvRegisterParts {
  readonly fabric: Pick<Fabric, 'bucket'>
  readonly kv: Pick<KvStores, 'clear'>
  readonly limits: Pick<Limits, 'kvNamespaces' | 'kvTitleBytes'>
  readonly clock: Clock
}

export type KvNamespaceOutcome =
  | { readonly ok: true; readonly namespace: KvNamespace }
  | { readonly ok: false; readonly why: 'title_missing' | 'title_too_long' | 'title_taken' | 'too_many' | 'not_found' }

/** As stored: a namespace whose keys are being removed is seen by nobody, and its title is free. */
interface Stored extends KvNamespace {
  readonly removed?: true
}

const key = 'all'
/** Each attempt fails only when another change got in between. */
const attempts = 50

export async function createKvNamespace(parts: KvRegisterParts, title: string): Promise<KvNamespaceOutcome> {
  const refusal = refuseTitle(parts.limits, title)
  if (refusal !== undefined) return refusal
  const namespace: KvNamespace = { id: randomBytes(16).toString('hex'), title, createdAt: parts.clock() }
  return change<KvNamespaceOutcome>(parts, (all) => {
    if (isTaken(all, title)) return { result: { ok: false, why: 'title_taken' } }
    if (all.length >= parts.limits.kvNamespaces) return { result: { ok: false, why: 'too_many' } }
    return { result: { ok: true, namespace }, next: [...all, namespace] }
  })
}

export async function renameKvNamespace(
  parts: KvRegisterParts,
  id: string,
  title: string,
): Promise<KvNamespaceOutcome> {
  const refusal = refuseTitle(parts.limits, title)
  if (refusal !== undefined) return refusal
  return change<KvNamespaceOutcome>(parts, (all) => {
    const found = all.find((one) => one.id === id && !one.removed)
    if (found === undefined) return { result: { ok: false, why: 'not_found' } }
    const namespace = { ...found, title }
    if (found.title === title) return { result: { ok: true, namespace } }
    if (isTaken(all, title)) return { result: { ok: false, why: 'title_taken' } }
    return { result: { ok: true, namespace }, next: all.map((one) => (one === found ? namespace : one)) }
  })
}

/** Removes the namespace with all its keys; false when there is none. Cut short, `finishKvRemovals` ends it. */
export async function removeKvNamespace(parts: KvRegisterParts, id: string): Promise<boolean> {
  const found = await change(parts, (all) => {
    if (!all.some((one) => one.id === id && !one.removed)) return { result: false }
    return { result: true, next: all.map((one) => (one.id === id ? { ...one, removed: true as const } : one)) }
  })
  if (found) await finishRemoval(parts, id)
  return found
}

/** Ends what a crash cut short; call it once at start. */
export async function finishKvRemovals(parts: KvRegisterParts): Promise<void> {
  const { all } = await read(parts.fabric)
  for (const one of all) if (one.removed) await finishRemoval(parts, one.id)
}

export async function findKvNamespace(fabric: Pick<Fabric, 'bucket'>, id: string): Promise<KvNamespace | undefined> {
  return (await listKvNamespaces(fabric)).find((namespace) => namespace.id === id)
}

/** All of them, in the order of their making. */
export async function listKvNamespaces(fabric: Pick<Fabric, 'bucket'>): Promise<KvNamespace[]> {
  return (await read(fabric)).all.filter((one) => !one.removed)
}

async function finishRemoval(parts: KvRegisterParts, id: string): Promise<void> {
  await parts.kv.clear(id)
  await change(parts, (all) => ({ result: undefined, next: all.filter((one) => one.id !== id) }))
}

async function read(fabric: Pick<Fabric, 'bucket'>): Promise<{ all: readonly Stored[]; revision: number }> {
  const entry = await fabric.bucket('kv-namespaces').get(key)
  if (entry === undefined) return { all: [], revision: 0 }
  return { all: JSON.parse(Buffer.from(entry.value).toString()), revision: entry.revision }
}

async function change<Result>(
  { fabric }: KvRegisterParts,
  decide: (all: readonly Stored[]) => { result: Result; next?: readonly Stored[] },
): Promise<Result> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const { all, revision } = await read(fabric)
    const { result, next } = decide(all)
    if (next === undefined) return result
    const value = Buffer.from(JSON.stringify(next))
    if ((await fabric.bucket('kv-namespaces').put(key, value, { expect: revision })) !== undefined) return result
  }
  throw new EdgeError('overloaded', 'Too many changes to the key-value namespaces at once.')
}

function isTaken(all: readonly Stored[], title: string): boolean {
  return all.some((one) => one.title === title && !one.removed)
}

function refuseTitle(limits: KvRegisterParts['limits'], title: string): KvNamespaceOutcome | undefined {
  if (title.trim() === '') return { ok: false, why: 'title_missing' }
  if (Buffer.byteLength(title) > limits.kvTitleBytes) return { ok: false, why: 'title_too_long' }
  return undefined
}
