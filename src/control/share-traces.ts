/**
 * How traces reach other points of presence: on the fabric, which may be anywhere; those of programs that stay in some
 * countries from node to node, to nodes there and nowhere else.
 */
import { EdgeError } from '#/core/errors.ts'
import type { Mesh } from '#/core/mesh.ts'
import { allows, type CountryCode, type Within } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import { describeWithin } from '#/core/residency.ts'
import type { ProgramName } from '#/core/snapshot.ts'

/** Of the mesh. */
const topic = 'traces'

export interface TraceSharing {
  /** Best effort: whoever does not hear it now does not hear it. */
  send(program: ProgramName, message: Uint8Array): void
  receive(program: ProgramName, listener: (message: Uint8Array) => void): () => void
  /** Why traces of this program may not be shown here; undefined: they may. */
  refusal(program: ProgramName): EdgeError | undefined
  /** A node of this process reaches nodes of others this way. */
  join(mesh: TraceMesh): void
  close(): void
}

export type TraceMesh = Pick<Mesh, 'self' | 'peers' | 'ask' | 'serve'>

export interface TraceSharingOptions {
  readonly fabric: Pick<Fabric, 'publish' | 'subscribe'>
  /** Absent: everything may be anywhere. */
  readonly residency?: {
    readonly within: (program: ProgramName) => Within | undefined
    /** Where the nodes of this process stand. */
    readonly countries: readonly CountryCode[]
  }
}

export function createTraceSharing({ fabric, residency }: TraceSharingOptions): TraceSharing {
  const listeners = new Map<ProgramName, Set<(message: Uint8Array) => void>>()
  const meshes: TraceMesh[] = []
  const stops: (() => void)[] = []
  const withinOf = (program: ProgramName) => residency?.within(program)
  const mayShow = (within: Within | undefined) => residency?.countries.some((one) => allows(within, one)) ?? true

  /** Of several nodes of this process one sends and one listens. */
  const meshFor = (within: Within | undefined) => meshes.find(({ self }) => allows(within, self.country))

  function serveOn(mesh: TraceMesh): () => void {
    return mesh.serve(topic, async ({ head, body }) => {
      const program = String(head.program)
      const message = Buffer.concat(await body.toArray())
      if (meshFor(withinOf(program)) === mesh) for (const listener of listeners.get(program) ?? []) listener(message)
      return {}
    })
  }

  return {
    send(program, message) {
      const within = withinOf(program)
      if (within === undefined) return fabric.publish(`trace/${program}`, message)
      const mesh = meshFor(within)
      if (mesh === undefined) return
      for (const { node, country, reachable } of mesh.peers()) {
        if (!reachable || !allows(within, country)) continue
        mesh.ask(node, topic, { head: { program }, body: message }).then(
          ({ body }) => body.resume(),
          () => {},
        )
      }
    },
    receive(program, listener) {
      const all = listeners.get(program) ?? new Set()
      listeners.set(program, all.add(listener))
      const unsubscribe = fabric.subscribe(`trace/${program}`, listener)
      return () => {
        unsubscribe()
        all.delete(listener)
        if (all.size === 0) listeners.delete(program)
      }
    },
    refusal(program) {
      const within = withinOf(program)
      if (mayShow(within)) return undefined
      const where = describeWithin(within)
      return new EdgeError(
        'not_here',
        `What ${program} logs stays in ${where}: follow it at a point of presence there.`,
      )
    },
    join(mesh) {
      meshes.push(mesh)
      stops.push(serveOn(mesh))
    },
    close() {
      for (const stop of stops) stop()
    },
  }
}
