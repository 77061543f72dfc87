/** The administrator's token of a platform of several processes: each takes it for its API, unless it was started with its own. */
import type { Fabric, Seal } from '#/core/ports.ts'

export interface PlatformTokenOptions {
  readonly fabric: Pick<Fabric, 'bucket'>
  readonly seal: Pick<Seal, 'seal' | 'open'>
  /** What this process has. */
  readonly token: string
  /** The operator set it for this process: it stands here, whatever the platform's is. */
  readonly isSet: boolean
}

/** The first process of a platform gives it; it lies sealed. Where it cannot be asked for the process's own stands. */
export async function platformToken({ fabric, seal, token, isSet }: PlatformTokenOptions): Promise<string> {
  const bucket = fabric.bucket('platform')
  try {
    if ((await bucket.get('token')) === undefined)
      await bucket.put('token', Buffer.from(seal.seal(token)), { expect: 0 })
    const stored = await bucket.get('token')
    return isSet || stored === undefined ? token : seal.open(Buffer.from(stored.value).toString())
  } catch (error) {
    if ((error as { code?: string }).code === 'fabric_away') return token
    throw error
  }
}
