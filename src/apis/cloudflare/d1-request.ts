/** What the calls for databases have in common: which database, and asking it at its home. */
import type { Readable } from 'node:stream'
import type { Context } from 'hono'
import { EdgeError } from '#/core/errors.ts'
import type { StoreCall } from '#/core/homed-stores.ts'
import type { MeshHead } from '#/core/mesh.ts'
import type { Resource } from '#/core/resources.ts'
import { bytesOf } from '#/core/store-body.ts'
import type { D1RoutesParts } from './d1.ts'
import { VendorError } from './envelope.ts'

export interface DatabaseAnswer {
  readonly head: MeshHead
  /** The whole body. */
  bytes(): Promise<Uint8Array>
  /** As it comes; null where there is none. */
  readonly body: Uint8Array | Readable | null
}

/** The database that the path names, by its id or its name. */
export function requireDatabase(c: Context, { control }: Pick<D1RoutesParts, 'control'>): Resource {
  const asked = c.req.param('database')!
  const all = control.resources('sql')
  const found = all.find(({ id }) => id === asked) ?? all.find(({ name }) => name === asked)
  if (found === undefined) throw new VendorError(404, 7404, `The database ${asked.slice(0, 80)} could not be found`)
  return found
}

/** Throws a `VendorError` where its home cannot be asked. */
export async function askDatabase(
  { homed }: Pick<D1RoutesParts, 'homed'>,
  { id }: Resource,
  call: Pick<StoreCall, 'operation' | 'head' | 'body' | 'signal'>,
): Promise<DatabaseAnswer> {
  const answer = await homed.call({ kind: 'sql', id, ...call }).catch((error: unknown) => {
    if (error instanceof EdgeError && error.code === 'body_too_large') throw new VendorError(413, 7400, error.message)
    throw error
  })
  return { ...answer, bytes: () => bytesOf(answer.body) }
}
