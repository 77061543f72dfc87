/**
 * Data of Durable Object classes that nobody has any more. What is to be removed is written down first, so that a crash
 * between the deploy and the removal leaves no orphan: the next start finishes the work.
 */
import type { Engine, Fabric } from '#/core/ports.ts'
import type { ObjectNamespace } from '#/core/snapshot.ts'
import type { State } from './fold.ts'

export interface Forgetting {
  /** Call before the change that abandons the classes is committed. */
  note(objects: readonly ObjectNamespace[]): Promise<void>
  /** Removes the data of noted classes that no program has. Never rejects: what fails is tried at the next call. */
  run(state: State): Promise<void>
}

export function createForgetting(fabric: Fabric, engine: Pick<Engine, 'forget'>): Forgetting {
  const bucket = fabric.bucket('objects-to-forget')
  return {
    async note(objects) {
      for (const object of objects) await bucket.put(object.key, new TextEncoder().encode(JSON.stringify(object)))
    },
    async run(state) {
      const live = new Set([...state.programs.values()].flatMap((held) => held.record.objects.map(({ key }) => key)))
      for (const { key, value } of await bucket.list({ limit: 1000 }).catch(() => [])) {
        try {
          if (!live.has(key)) await engine.forget([JSON.parse(new TextDecoder().decode(value)) as ObjectNamespace])
          await bucket.delete(key)
        } catch {}
      }
    },
  }
}
