/** Does another process already run under this node's name? Asked before a node takes its place in the directory. */
import { EdgeError } from '#/core/errors.ts'
import { dialNode } from './dial-node.ts'
import type { NodeEntry } from './directory.ts'
import { type OpenSessionOptions, openSession } from './open-session.ts'

/** Rejects by name when `entry`, which stands in the directory, is alive and not this process. */
export async function refuseTwin(own: NodeEntry, options: OpenSessionOptions): Promise<void> {
  const { entry, identity, limits, dial } = options
  const where = `${entry.address.host}:${entry.address.port}`
  if (entry.fingerprint !== own.fingerprint) {
    const socket = await dialNode({ entry, identity: identity(), limits, dial }).catch(() => undefined)
    socket?.destroy()
    if (socket === undefined) return
    throw new EdgeError(
      'folder_in_use',
      `A node ${own.node} runs at ${where}, with another folder and key. Give this one another name.`,
    )
  }
  const opened = await openSession(options).catch(() => undefined)
  opened?.session.destroy()
  if (opened === undefined || opened.hello.instance === own.instance) return
  throw new EdgeError(
    'folder_in_use',
    `The node ${own.node} runs at ${where} already, with a copy of this folder. Stop it, or join with an empty folder.`,
  )
}
