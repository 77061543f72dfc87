/**
 * Entries of the log of changes, told by the node that wrote them to all others at once, and asked for when a link comes up:
 * servers of what is shared that were cut off need seconds until they agree again, links need less. What is told this way
 * goes where the entry would have gone, under the same revision.
 */
import type { Mesh, MeshCall } from '#/core/mesh.ts'
import type { NodeId } from '#/core/pops.ts'
import type { Bucket, Entry } from '#/core/ports.ts'

export interface SpreadNewsOptions {
  readonly mesh: Mesh
  /** This node's copy of the log; `watch` tells what comes into it, from anywhere. */
  readonly copy: Pick<Bucket, 'get' | 'list' | 'watch'>
  /** Puts an entry into the copy that another node has from what is shared. */
  readonly keep: (entry: Entry) => Promise<void>
  /** As the entries of this process say who wrote them. */
  readonly by: string
  /** Of one answer. */
  readonly limits: { readonly newsBytes: number }
  readonly log: (message: string, facts: object) => void
}

const topics = { tell: 'control.news', ask: 'control.log' } as const
const page = 200
const keyOf = (revision: number) => String(revision).padStart(16, '0')

/** Returns how to stop. */
export function spreadNews({ mesh, copy, keep, by, limits, log }: SpreadNewsOptions): () => void {
  const fail = (node: NodeId) => (error: unknown) =>
    log('news of changes did not pass between two nodes', { node, error: String(error) })
  /** The newest that this node told. */
  let told = 0

  function tell({ key, value, revision }: Entry): void {
    told = Number(key)
    for (const { node, reachable } of mesh.peers())
      if (reachable)
        mesh
          .ask(node, topics.tell, { head: { key, revision }, body: value })
          .then(({ body }) => void body.resume())
          .catch(fail(node))
  }

  async function hear({ from, head, body }: MeshCall): Promise<object> {
    const entry = { key: String(head.key), revision: Number(head.revision), value: await whole(body) }
    const before = await copy.get(keyOf(Number(entry.key) - 1))
    if (before !== undefined) await keep(entry)
    else catchUp(from.node).catch(fail(from.node))
    return {}
  }

  async function answer({ head }: MeshCall) {
    const entries: object[] = []
    let bytes = 0
    for (const { key, value, revision } of await copy.list({ after: String(head.after), limit: page })) {
      bytes += value.byteLength
      if (entries.length > 0 && bytes > limits.newsBytes) break
      entries.push({ key, revision, value: Buffer.from(value).toString('base64') })
    }
    return { body: Buffer.from(JSON.stringify(entries)) }
  }

  /** Only what follows on what is here: who lacks more than the log holds reads the records once they are in reach. */
  async function catchUp(node: NodeId): Promise<void> {
    for (let last = await newestOf(copy); last !== undefined; ) {
      const answered = await mesh.ask(node, topics.ask, { head: { after: last } })
      const entries = JSON.parse((await whole(answered.body)).toString()) as (Entry & { readonly value: string })[]
      for (const { key, revision, value } of entries) {
        if (key !== keyOf(Number(last) + 1)) return
        await keep({ key, revision, value: Buffer.from(value, 'base64') })
        last = key
      }
      if (entries.length === 0) return
    }
  }

  let linked = new Set<NodeId>()
  function follow(): void {
    const now = new Set(mesh.peers().flatMap(({ node, reachable }) => (reachable ? node : [])))
    for (const node of now) if (!linked.has(node)) catchUp(node).catch(fail(node))
    linked = now
  }

  const stops = [
    mesh.serve(topics.tell, hear),
    mesh.serve(topics.ask, answer),
    mesh.onPeers(follow),
    copy.watch('', (change) => {
      if (change.kind === 'put' && Number(change.entry.key) > told && isBy(change.entry, by)) tell(change.entry)
    }),
  ]
  follow()
  return () => {
    for (const stop of stops) stop()
  }
}

async function newestOf(copy: Pick<Bucket, 'list'>): Promise<string | undefined> {
  let last: string | undefined
  for (;;) {
    const entries = await copy.list({ limit: 1000, keysOnly: true, ...(last !== undefined && { after: last }) })
    last = entries.at(-1)?.key ?? last
    if (entries.length < 1000) return last
  }
}

function isBy({ value }: Entry, by: string): boolean {
  try {
    return (JSON.parse(Buffer.from(value).toString()) as { by?: string }).by === by
  } catch {
    return false
  }
}

async function whole(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(body))
}
