/** A name for a new node: its PoP's, or that and six digits beside others. */
import { randomBytes } from 'node:crypto'
import { EdgeError } from '#/core/errors.ts'
import type { NodeId, PopId } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import { nodesBucket, readEntry } from './directory.ts'

/** A name that nobody came back for is free again. */
const reservedMs = 600_000

export interface NameWish {
  readonly pop: PopId
  /** Wanted name; absent: any. */
  readonly node?: NodeId
  /** Of the newcomer's key. */
  readonly fingerprint: string
  /** Is a node of this name running, with another key? Then its name is not given away. */
  readonly isAlive: (node: NodeId) => boolean
}

/** Keeps the name for this key, so that two who come at once do not get the same. Rejects for one that is in use. */
export async function reserveName(
  { fabric, clock }: { readonly fabric: Pick<Fabric, 'bucket'>; readonly clock: Clock },
  wish: NameWish,
): Promise<NodeId> {
  const bucket = nodesBucket(fabric)
  for (let node = wish.node ?? wish.pop; ; node = `${wish.pop}-${randomBytes(3).toString('hex')}`) {
    const found = await bucket.get(node)
    const entry = found && readEntry(found)
    const own = (entry ?? (found && readReserved(found.value)))?.fingerprint === wish.fingerprint
    if (own) return node
    if (wish.node === node && entry !== undefined && wish.isAlive(node))
      throw new EdgeError('folder_in_use', `A node ${node} runs on this platform already. Give another name.`)
    // A name that stands for another node is given away only to who asks for it by name.
    const free =
      found === undefined || (entry === undefined && readReserved(found.value) === undefined) || wish.node === node
    if (!free) continue
    const reserved = Buffer.from(JSON.stringify({ reserved: true, fingerprint: wish.fingerprint }))
    const options = { expect: found?.revision ?? 0, expiresAt: clock() + reservedMs }
    if ((await bucket.put(node, reserved, options)) !== undefined) return node
  }
}

function readReserved(value: Uint8Array): { readonly fingerprint: string } | undefined {
  try {
    const parsed = JSON.parse(Buffer.from(value).toString()) as { reserved?: boolean; fingerprint: string }
    return parsed.reserved === true ? parsed : undefined
  } catch {
    return undefined
  }
}
