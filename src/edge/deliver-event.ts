/**
 * Events for programs, told where a program may run: at this node, or at the nearest one that may. An event that was handed
 * to another node is told there or not at all: nobody knows how far the other came.
 */
import { EdgeError } from '#/core/errors.ts'
import { decodeEvent, encodeEvent } from '#/core/event-frame.ts'
import type { Mesh } from '#/core/mesh.ts'
import { allows, nearestPeers, type Place, type Within } from '#/core/pops.ts'
import type { Engine } from '#/core/ports.ts'
import type { EventOutcome, ProgramEvent } from '#/core/program-events.ts'
import { describeWithin, intersect } from '#/core/residency.ts'
import type { ProgramName, Snapshot } from '#/core/snapshot.ts'
import { chosenProgram } from './own-hosts.ts'

const topic = 'edge/event'

export interface EventDelivery {
  /**
   * `within`: countries that the event may not leave. Rejects like `Engine.deliver`, with `not_found` where nothing of the
   * program is deployed, `peer_away` where no node that may tell it can be reached.
   */
  deliver(program: ProgramName, event: ProgramEvent, within?: Within): Promise<EventOutcome>
  close(): void
}

export interface EventDeliveryParts {
  readonly place: Place
  /** Absent on the only node. */
  readonly mesh: Pick<Mesh, 'peers' | 'ask' | 'serve'> | undefined
  readonly engine: Pick<Engine, 'deliver'>
  readonly snapshot: () => Snapshot
}

export function createEventDelivery({ place, mesh, engine, snapshot }: EventDeliveryParts): EventDelivery {
  async function tell(name: ProgramName, event: ProgramEvent): Promise<EventOutcome> {
    const chosen = chosenProgram(snapshot(), name)
    if (chosen === undefined) throw new EdgeError('not_found', `Nothing of the program ${name} is deployed.`)
    return engine.deliver(chosen.program, chosen.deployment, event)
  }

  const stop = mesh?.serve(topic, async ({ head, body }) => {
    const event = decodeEvent(Buffer.concat(await body.toArray()))
    return { head: { outcome: await tell(String(head.program), event) } }
  })

  return {
    async deliver(name, event, within) {
      const both = intersect(snapshot().programs.get(name)?.within, within)
      if (allows(both, place.country)) return tell(name, event)
      const [nearest] = nearestPeers(mesh?.peers() ?? [], both)
      if (nearest === undefined)
        throw new EdgeError('peer_away', `No node in ${describeWithin(both)} can be reached to tell ${name}.`)
      const { head, body } = await mesh!.ask(nearest.node, topic, { head: { program: name }, body: encodeEvent(event) })
      body.resume()
      return head.outcome as EventOutcome
    },
    close: () => stop?.(),
  }
}
