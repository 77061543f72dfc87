/** Who said where a bucket lies: the first word holds for everybody, so that no two see different buckets of one name. */
import { EdgeError } from '#/core/errors.ts'
import type { Within } from '#/core/pops.ts'
import type { Line } from './line.ts'
import { type Names, toToken } from './names.ts'

export interface Placements {
  /** Rejects with `not_here` when the bucket lies elsewhere. */
  check(bucket: string, within: Within | undefined): Promise<void>
}

export function createPlacements(line: Line, names: Names): Placements {
  const checked = new Map<string, Promise<void>>()

  async function checkNow(bucket: string, wanted: string): Promise<void> {
    const subject = `${names.placements}.${toToken(bucket)}`
    for (;;) {
      const found = await line.readLast(names.stream, subject)
      if (found !== undefined) return compare(bucket, wanted, Buffer.from(found.data).toString())
      if ((await line.write(names.stream, subject, Buffer.from(wanted), { expect: 0 })) !== undefined) return
    }
  }

  return {
    check(bucket, within) {
      const wanted = within === undefined ? '' : [...new Set(within)].sort().join(',')
      const key = `${wanted} ${bucket}`
      const known = checked.get(key) ?? checkNow(bucket, wanted)
      checked.set(key, known)
      known.catch(() => checked.delete(key))
      return known
    },
  }
}

function compare(bucket: string, wanted: string, found: string): void {
  if (found === wanted) return
  const place = (within: string) => (within === '' ? 'anywhere' : `within ${within}`)
  throw new EdgeError('not_here', `The bucket ${bucket} lies ${place(found)}, not ${place(wanted)}.`)
}
