/**
 * Which change of the configuration was the last that said where something may be. It is read where it was written, never
 * from a copy: whoever writes what may be anywhere learns there whether the settings that it decides by are all there are.
 */
import type { Bucket, Fabric } from './ports.ts'

export interface PlacementMark {
  /** Revision of that change; 0: there was none. Rejects with `fabric_away`. */
  newest(): Promise<number>
  /** Before the setting is acknowledged. An older one than there is changes nothing. */
  note(revision: number): Promise<void>
}

const key = 'newest'

export function createPlacementMark(fabric: Pick<Fabric, 'bucket'>): PlacementMark {
  const bucket: Bucket = fabric.bucket('placement-mark')
  async function read() {
    const entry = await bucket.get(key)
    return {
      there: entry?.revision ?? 0,
      newest: entry === undefined ? 0 : Number(Buffer.from(entry.value).toString()),
    }
  }
  return {
    newest: async () => (await read()).newest,
    async note(revision) {
      for (;;) {
        const { there, newest } = await read()
        if (newest >= revision) return
        if ((await bucket.put(key, Buffer.from(String(revision)), { expect: there })) !== undefined) return
      }
    },
  }
}
