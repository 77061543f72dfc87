/**
 * Goes home: of the servers that were named the first is the nearest, and a node that lost it is on a farther one, where each write
 * takes longer. While it is, it looks now and then whether a nearer one is back, and moves when that was sound twice in a row.
 */
import type { NatsConnection } from '@nats-io/transport-node'
import type { Limits } from '#/core/limits.ts'
import type { Elsewhere } from './look-elsewhere.ts'
import type { StreamInfo } from './streams.ts'

export interface HomeOptions {
  readonly elsewhere: Elsewhere
  /** Whose copies and leader are compared. */
  readonly stream: string
  /** `$JS.API`, or `$JS.DOMAIN.API` through a leaf node. */
  readonly api: string
  /** Over the connection in use. */
  readonly call: <Result>(name: string) => Promise<Result | undefined>
  /** Whether nothing is wrong with the server in use: otherwise there is no hurry to be near. */
  readonly isCalm: () => boolean
  readonly moveTo: (listen: string) => Promise<void>
  readonly limits: Pick<Limits, 'natsHomeMs' | 'natsAttemptMs'>
  readonly report: (error: unknown) => void
}

export function goHome(options: HomeOptions): { close(): void } {
  const { elsewhere, isCalm, moveTo, limits, report } = options
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
      const isNearer = id !== elsewhere.inUse() && (await isSound(other, options).catch(() => false))
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

/**
 * Its copy is current, and over it the same leader is reached as from here. Nothing is written to find that out: where it is cut off from
 * the others it may take what it is sent into its log, which keeps it from coming back.
 */
async function isSound(other: NatsConnection, { stream, api, call, limits }: HomeOptions): Promise<boolean> {
  const question = `STREAM.INFO.${stream}`
  const here = (await call<StreamInfo>(question))?.cluster
  const own = here?.replicas?.find(({ name }) => name === other.info?.server_name)
  if (own !== undefined && (own.current !== true || own.offline === true)) return false
  const answer = await other.request(`${api}.${question}`, '', { timeout: limits.natsAttemptMs })
  const { error, cluster } = answer.json<StreamInfo>()
  return error === undefined && cluster?.leader === here?.leader
}
