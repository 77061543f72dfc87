/**
 * Who is part of the platform: the bucket `nodes` of the fabric, and the last that was known of it in the node's folder, so
 * that links come up again while the fabric is away.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { NodeId, Place } from '#/core/pops.ts'
import type { Bucket, Entry, Fabric } from '#/core/ports.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { writeWhole } from './identity.ts'
import { isPlace } from './node-name.ts'

export interface MeshAddress {
  readonly host: string
  readonly port: number
}

export interface NodeEntry extends Place {
  readonly address: MeshAddress
  /** Of its public key: the same over restarts and over all its certificates. */
  readonly fingerprint: string
  readonly version: string
  readonly startedAt: EpochMs
  /** Of the running process. */
  readonly instance: string
}

/** Stands in the place of a node that was removed, until its last certificate has expired. */
interface ForgottenEntry {
  readonly node: NodeId
  readonly forgottenAt: EpochMs
  readonly fingerprint: string
}

export interface Directory {
  nodes(): ReadonlyMap<NodeId, NodeEntry>
  /** Called after each change, by whom it was handed over last. */
  onChange(listener: () => void): void
  /** Asks the fabric where it is not known here: a node that joined just now. */
  find(node: NodeId): Promise<NodeEntry | undefined>
  /** Rejects when this key was removed from the platform. */
  register(entry: NodeEntry): Promise<void>
  /** Returns whether there was such a node. */
  forget(node: NodeId): Promise<boolean>
  /** Was this key removed from the platform? Says so as long as a certificate for it could be valid. */
  isForgotten(node: NodeId, fingerprint: string): Promise<boolean>
  /** Called from time to time: reads again what could not be read when it was due. */
  retry(): void
  close(): Promise<void>
}

export interface DirectoryOptions {
  readonly fabric: Pick<Fabric, 'bucket' | 'state' | 'onState'>
  /** Without one, nothing is kept here. */
  readonly folder?: string
  readonly limits: Pick<Limits, 'nodes' | 'nodeCertificateSeconds'>
  readonly clock: Clock
  readonly log: (message: string, facts?: object) => void
}

const pageSize = 200

export function nodesBucket(fabric: Pick<Fabric, 'bucket'>): Bucket {
  return fabric.bucket('nodes')
}

/** Never waits for a fabric that is away: then it starts with what the folder holds. */
export async function openDirectory(options: DirectoryOptions): Promise<Directory> {
  const { fabric, folder, limits, clock, log } = options
  const bucket = nodesBucket(fabric)
  const file = folder && join(folder, 'directory.json')
  const nodes = new Map<NodeId, NodeEntry>()
  let writing = Promise.resolve()
  let closed = false
  let unread = false
  let listener = () => {}
  /** What changed while the whole is read: it is younger than what is read. */
  const younger = new Set<Map<NodeId, NodeEntry | undefined>>()

  function keep(): void {
    if (file === undefined) return
    const text = () => `${JSON.stringify([...nodes.values()])}\n`
    writing = writing
      .then(() => writeWhole(file, text(), 0o600))
      .catch((error: unknown) => log('the directory of nodes could not be kept', { error: String(error) }))
  }
  function set(entry: NodeEntry): void {
    if (nodes.has(entry.node) || nodes.size < limits.nodes) nodes.set(entry.node, entry)
    else log('a node is left out: there are more than the limit', { node: entry.node, limit: limits.nodes })
  }
  function take(node: NodeId, entry: NodeEntry | undefined): void {
    if (entry === undefined) nodes.delete(node)
    else set(entry)
  }
  function changed(): void {
    if (closed) return
    keep()
    listener()
  }
  async function readAll(): Promise<void> {
    const meanwhile = new Map<NodeId, NodeEntry | undefined>()
    younger.add(meanwhile)
    try {
      const found = await listNodes(bucket, limits.nodes)
      nodes.clear()
      for (const entry of found) set(entry)
      for (const [node, entry] of meanwhile) take(node, entry)
    } finally {
      younger.delete(meanwhile)
    }
    unread = false
    changed()
  }
  const refresh = () =>
    readAll().catch((error: unknown) => {
      unread = true
      log('the directory of nodes cannot be read now', { error: String(error) })
    })

  for (const entry of await readKept(file)) set(entry)
  const unwatch = bucket.watch('', (change) => {
    const node = change.kind === 'put' ? change.entry.key : change.key
    const entry = change.kind === 'put' ? readEntry(change.entry) : undefined
    for (const meanwhile of younger) meanwhile.set(node, entry)
    take(node, entry)
    changed()
  })
  const unstate = fabric.onState((state) => void (state === 'here' && refresh()))
  await refresh()

  return {
    nodes: () => nodes,
    onChange(wanted) {
      listener = wanted
    },
    async find(node) {
      const known = nodes.get(node)
      let entry: NodeEntry | undefined
      try {
        const read = await bucket.get(node)
        entry = read && readEntry(read)
      } catch {
        return known
      }
      if (entry === undefined) return undefined
      if (known?.fingerprint === entry.fingerprint && known.instance === entry.instance) return known
      set(entry)
      changed()
      return entry
    },
    register: (entry) => register(bucket, entry),
    async forget(node) {
      const found = await bucket.get(node)
      const entry = found && readEntry(found)
      if (found === undefined || entry === undefined) return false
      const forgotten: ForgottenEntry = { node, fingerprint: entry.fingerprint, forgottenAt: clock() }
      const expiresAt = clock() + limits.nodeCertificateSeconds * 1000
      await bucket.put(node, Buffer.from(JSON.stringify(forgotten)), { expiresAt })
      return true
    },
    isForgotten: async (node, fingerprint) => readForgotten(await bucket.get(node))?.fingerprint === fingerprint,
    retry() {
      if (unread && fabric.state === 'here') void refresh()
    },
    async close() {
      closed = true
      unwatch()
      unstate()
      await writing
    },
  }
}

async function register(bucket: Bucket, entry: NodeEntry): Promise<void> {
  const found = await bucket.get(entry.node)
  if (readForgotten(found)?.fingerprint === entry.fingerprint) throw removed(entry.node)
  const value = Buffer.from(JSON.stringify(entry))
  // Of two that register at once one wins; the other reads what stands there then.
  const written = await bucket.put(entry.node, value, { expect: found?.revision ?? 0 })
  if (written === undefined) await register(bucket, entry)
}

export function removed(node: NodeId): EdgeError {
  return new EdgeError(
    'peer_away',
    `The node ${node} was removed from this platform. To take it back, remove its folder mesh and join again.`,
  )
}

export async function listNodes(bucket: Bucket, limit: number): Promise<NodeEntry[]> {
  const found: NodeEntry[] = []
  for (let after: string | undefined; found.length <= limit; ) {
    const page = await bucket.list({ limit: pageSize, ...(after !== undefined && { after }) })
    found.push(...page.flatMap((entry) => readEntry(entry) ?? []))
    after = page.at(-1)?.key
    if (page.length < pageSize) break
  }
  return found
}

export function readEntry(entry: Entry): NodeEntry | undefined {
  const value = parse(entry)
  return isEntry(value) && value.node === entry.key ? value : undefined
}

function readForgotten(entry: Entry | undefined): ForgottenEntry | undefined {
  const value = entry && (parse(entry) as Partial<ForgottenEntry> | undefined)
  return value?.forgottenAt === undefined ? undefined : (value as ForgottenEntry)
}

function parse(entry: Entry): unknown {
  try {
    return JSON.parse(Buffer.from(entry.value).toString())
  } catch {
    return undefined
  }
}

function isEntry(value: unknown): value is NodeEntry {
  const { node, pop, country, address, fingerprint } = (value ?? {}) as Partial<NodeEntry>
  if (typeof node !== 'string' || typeof pop !== 'string' || typeof country !== 'string') return false
  return isPlace({ node, pop, country }) && typeof address?.port === 'number' && typeof fingerprint === 'string'
}

async function readKept(file: string | undefined): Promise<NodeEntry[]> {
  if (file === undefined) return []
  try {
    return (JSON.parse(await readFile(file, 'utf8')) as unknown[]).filter(isEntry)
  } catch {
    // What the fabric says replaces it anyway; while the fabric is away, nodes that call are found by their calls.
    return []
  }
}
