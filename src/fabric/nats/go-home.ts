/**
 * Goes home: of the servers that were named the first is the nearest, and a node that lost it is on a farther one, where each write
 * takes longer. While it is, it looks now and then whether a nearer one is back, and moves when that was sound twice in a row.
 */
import type { NatsConnection } from '@nats-io/transport-node'
import type { Limits } from '#/core/limits.ts'
import type { Elsewhere } from './look-elsewhere.ts'

export interface HomeOptions {
  readonly elsewhere: Elsewhere
  /** Whether all that is asked of the server in use is answered over this connection too. */
  readonly isSound: (other: NatsConnection) => Promise<boolean>
  /** Whether nothing is wrong with the server in use: otherwise there is no hurry to be near. */
  readonly isCalm: () => boolean
  readonly moveTo: (listen: string) => Promise<void>
  readonly limits: Pick<Limits, 'natsHomeMs'>
  readonly report: (error: unknown) => void
}

export function goHome({ elsewhere, isSound, isCalm, moveTo, limits, report }: HomeOptions): { close(): void } {
  let closed = false
  let timer: NodeJS.Timeout | undefined
  /** What was sound at the last look: the address, and the run of the server there. */
  let before: string | undefined

  /** Nodes that lost one server together come back one after the other. */
  function schedule(): void {
    timer = setTimeout(() => void look(), limits.natsHomeMs * (0.5 + Math.random()))
    timer.unref()
  }

  async function look(): Promise<void> {
    try {
      const found = isCalm() ? await findNearer() : undefined
      const run = found && `${found.listen} ${found.id}`
      const isSteady = run !== undefined && run === before
      before = isSteady ? undefined : run
      if (isSteady && isCalm() && !closed) await moveTo(found!.listen)
    } catch (error) {
      report(error)
    }
    if (!closed) schedule()
  }

  async function findNearer(): Promise<{ listen: string; id: string } | undefined> {
    for (const listen of elsewhere.nearer()) {
      const other = await elsewhere.connectTo(listen).catch(() => undefined)
      if (other === undefined) continue
      const id = other.info?.server_id ?? ''
      // One server may have two addresses: the name that we were told and what the servers say of themselves.
      const isNearer = id !== elsewhere.inUse() && (await isSound(other).catch(() => false))
      await other.close()
      if (id === elsewhere.inUse()) return undefined
      if (isNearer) return { listen, id }
    }
    return undefined
  }

  schedule()
  return {
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}
