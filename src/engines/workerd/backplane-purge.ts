/** What `ctx.cache.purge()` of a program asks: JSON in, `{ success, errors }` out. */
import type { PurgeWish } from '#/core/cache-policy.ts'
import { readFrontPurge } from '#/core/front-cache.ts'
import type { Limits } from '#/core/limits.ts'
import { type BackplaneHandler, textAnswer } from './backplane.ts'

export interface PurgeDependencies {
  /** Resolves once nothing that was purged can answer any more. */
  readonly purge: (wishes: readonly PurgeWish[]) => Promise<void>
  readonly limits: Pick<Limits, 'purgeOperations' | 'metadataBytes'>
}

/** The id is the program whose cache it is. */
export function purgeHandler({ purge, limits }: PurgeDependencies): BackplaneHandler {
  return async ({ id, body }) => {
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of body ?? []) {
      bytes += (chunk as Buffer).length
      if (bytes > limits.metadataBytes) return textAnswer(413, 'What is to be purged is too long to be read.')
      chunks.push(chunk as Buffer)
    }
    const read = readFrontPurge(id, JSON.parse(Buffer.concat(chunks).toString()), limits.purgeOperations)
    if (!read.ok) return json({ success: false, errors: [{ code: read.code, message: read.why }] })
    await purge(read.wishes)
    return json({ success: true, errors: [] })
  }
}

function json(value: object) {
  return { ...textAnswer(200, JSON.stringify(value)) }
}
