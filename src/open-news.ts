/** How nodes with copies of what is shared tell each other of changes, and hand over what these need, past what is shared. */
import { type HandAhead, openHandAhead } from '#/control/hand-ahead.ts'
import { spreadNews } from '#/control/spread-news.ts'
import type { Closer } from '#/core/closer.ts'
import type { Limits } from '#/core/limits.ts'
import type { Fabric } from '#/core/ports.ts'
import type { CopiedFabric } from '#/fabric/copied/fabric.ts'
import type { Pop } from './pop.ts'

interface NewsParts {
  /** Of each node. */
  readonly fabrics: readonly { readonly fabric: Fabric }[]
  /** As the log of changes names this process. */
  readonly by: string
  readonly limits: Limits
}

/** For each node that has a copy of its own. */
export function openNews(
  pops: readonly Pop[],
  { fabrics, by, limits }: NewsParts,
  closer: Closer,
): readonly HandAhead[] {
  return pops.flatMap(({ mesh, log: { logger } }, index) => {
    const { fabric } = fabrics[index]!
    if (mesh === undefined || !isCopied(fabric)) return []
    const log = (message: string, facts: object) => logger.info(facts, message)
    const handed = openHandAhead({
      ...{ mesh, limits, log },
      blobs: fabric.blobs,
      keep: (blob, bytes) => fabric.keepBlob(blob, bytes),
    })
    closer.add(() => handed.close())
    fabric.findBlobsWith(handed.find)
    const copy = fabric.bucket('control-log')
    closer.add(
      spreadNews({ ...{ mesh, copy, by, limits, log }, keep: (entry) => fabric.keepEntry('control-log', entry) }),
    )
    return handed
  })
}

function isCopied(fabric: Fabric): fabric is CopiedFabric {
  return 'keepEntry' in fabric
}
