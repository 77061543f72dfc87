/** One platform as two machines see it, of which one does not hear what the other writes into the log of changes. */
import type { Bucket, Change, Fabric } from '#/core/ports.ts'

export interface LateView {
  readonly fabric: Fabric
  /** From now on its copy of the log stays as it is; what it writes goes where everybody writes. */
  fallBehind(): Promise<void>
  catchUp(): void
}

export function lateView(shared: Fabric): LateView {
  const log = shared.bucket('control-log')
  const waiting: (() => void)[] = []
  let known: Set<string> | undefined
  const isKnown = (key: string) => known?.has(key) !== false
  const late: Bucket = {
    ...log,
    async get(key) {
      return isKnown(key) ? log.get(key) : undefined
    },
    async put(key, ...given) {
      const written = await log.put(key, ...given)
      if (written !== undefined) known?.add(key)
      return written
    },
    async list(wish) {
      return (await log.list({ ...wish, limit: 1000 })).filter(({ key }) => isKnown(key)).slice(0, wish.limit)
    },
    watch: (prefix, listener) =>
      log.watch(prefix, (change: Change) => {
        if (known === undefined) listener(change)
        else waiting.push(() => listener(change))
      }),
  }
  return {
    fabric: {
      ...shared,
      bucket: (name, placement) => (name === 'control-log' ? late : shared.bucket(name, placement)),
    },
    async fallBehind() {
      known = new Set((await log.list({ limit: 1000 })).map(({ key }) => key))
    },
    catchUp() {
      known = undefined
      for (const tell of waiting.splice(0)) tell()
    },
  }
}
