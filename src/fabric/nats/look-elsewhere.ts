/**
 * Looks, beside the connection in use, whether another server of the cluster can write: one that is cut off from the others
 * looks like one that waits for an election, and only the others' answers tell them apart.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'

export interface Elsewhere {
  /** Connects to one server, by its address in the pool; is not connected again. */
  connectTo(listen: string): Promise<NatsConnection>
  /** Leaves the server in use for this one. */
  moveTo(listen: string): Promise<void>
  /** Addresses of the pool but the one in use. */
  others(): readonly string[]
  /** Addresses that were named before the one in use, the nearest first; all that were named when it is none of them. */
  nearer(): readonly string[]
  /** The run of the server in use: another one after each of its starts. */
  inUse(): string | undefined
}

const pauseMs = 500

/** The address of the first server where `works` holds; `undefined` once `isWanted` does not hold any more. */
export async function lookElsewhere(
  elsewhere: Elsewhere,
  works: (connection: NatsConnection) => Promise<boolean>,
  isWanted: () => boolean,
): Promise<string | undefined> {
  let found: string | undefined
  const goesOn = () => found === undefined && isWanted()

  async function look(listen: string): Promise<void> {
    while (goesOn()) {
      const connection = await elsewhere.connectTo(listen).catch(() => undefined)
      while (connection !== undefined && !connection.isClosed() && goesOn()) {
        if (await works(connection)) found ??= listen
        else await wait(pauseMs, undefined, { ref: false })
      }
      await connection?.close()
      if (goesOn()) await wait(pauseMs, undefined, { ref: false })
    }
  }
  await Promise.all(elsewhere.others().map(look))
  return found
}
