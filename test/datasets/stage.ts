/** A store of datasets on a folder; ids are names. */
import { type DatasetCalls, datasetCalls } from '#/core/datasets.ts'
import type { HomedStore } from '#/core/homed-store.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import { resourceKey } from '#/core/resources.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { openGroupCommit } from '#/fabric/sqlite/group-commit.ts'
import { createHomedStores } from '#/objects/homed-stores.ts'
import { openDatasetStore } from '#/stores/datasets/dataset-store.ts'

export interface DatasetStage {
  readonly calls: DatasetCalls
  readonly store: HomedStore
  readonly logged: { message: string; facts: object }[]
  /** Milliseconds by which its clock is ahead. */
  ahead: number
  close(): Promise<void>
}

/** It has the datasets `d` and `e`. */
export async function openDatasetStage(folder: string, limits: Partial<Limits> = {}): Promise<DatasetStage> {
  const resources = new Map(
    ['d', 'e'].map((id) => [
      resourceKey('dataset', id),
      { kind: 'dataset' as const, id, name: id, createdAt: 1, modifiedAt: 1, settings: {} },
    ]),
  )
  const snapshot: Snapshot = { revision: 1, sites: [], programs: new Map(), resources }
  const homed = createHomedStores({ country: 'DE', self: 'local', snapshot: () => snapshot })
  const logged: DatasetStage['logged'] = []
  const store = await openDatasetStore({
    folder,
    openGroupCommit,
    resource: (id) => resources.get(resourceKey('dataset', id)),
    clock: () => Date.now() + stage.ahead,
    limits: { ...defaultLimits, ...limits },
    log: (message, facts) => void logged.push({ message, facts }),
  })
  homed.serve('dataset', store.handler)
  const stage: DatasetStage = { calls: datasetCalls(homed), store, logged, ahead: 0, close: () => store.close() }
  return stage
}
