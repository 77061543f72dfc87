/** This node's own place in the directory: taken, kept, and given up when somebody removes it. */
import type { NodeId } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import { type Directory, type NodeEntry, removed } from './directory.ts'

export interface Membership {
  /** Called when the directory changed. */
  review(nodes: ReadonlyMap<NodeId, NodeEntry>): void
  /** Called from time to time: writes the place down that could not be written when it was due. */
  retry(): void
  close(): void
}

export interface MembershipOptions {
  readonly own: NodeEntry
  readonly directory: Directory
  readonly fabric: Pick<Fabric, 'state' | 'onState'>
  /** This node was removed from the platform; it stays so until it joins again. */
  readonly onExpelled: () => void
  readonly log: (message: string, facts?: object) => void
}

/** Rejects when this node was removed; while the fabric is away it is written down as soon as that is back. */
export async function takePlace(options: MembershipOptions): Promise<Membership> {
  const { own, directory, fabric, onExpelled, log } = options
  const { node } = own
  let expelled = false
  let waiting = false

  async function isForgotten(): Promise<boolean> {
    return directory.isForgotten(node, own.fingerprint).catch(() => false)
  }
  async function register(): Promise<void> {
    try {
      await directory.register(own)
      waiting = false
    } catch (error) {
      if (await isForgotten()) return expel()
      waiting = true
      log('this node cannot be written to the directory of nodes now', { error: String(error) })
    }
  }
  function expel(): void {
    if (expelled) return
    expelled = true
    log(removed(node).message, { node })
    onExpelled()
  }
  /** An entry that is gone without a trace was lost, not removed. */
  async function restore(): Promise<void> {
    if (await isForgotten()) expel()
    else await register()
  }

  await register()
  if (expelled) throw removed(node)
  const unstate = fabric.onState((state) => void (state === 'here' && waiting && register()))
  return {
    review(nodes) {
      const entry = nodes.get(node)
      if (entry === undefined && !waiting && !expelled) void restore()
      if (entry !== undefined && entry.instance !== own.instance)
        log(`another process runs as the node ${node}, at ${entry.address.host}:${entry.address.port}`, { node })
    },
    retry() {
      if (waiting && !expelled && fabric.state === 'here') void register()
    },
    close: unstate,
  }
}
