/** Client certificates that programs show in `fetch()` through a binding (Cloudflare's mTLS certificates). */
import { z } from 'zod'
import type { Resource } from './resources.ts'
import type { Sealed } from './snapshot.ts'

/** `settings` of a resource of kind `certificate`. */
const settings = z.object({
  /** PEM, leaf first. */
  certificates: z.string(),
  /** PEM; absent for an authority, which is only trusted. */
  key: z.exactOptional(z.string()),
})

export interface ClientCertificate extends z.infer<typeof settings> {
  readonly key?: Sealed
}

/** Throws an Error that says what does not fit. */
export function clientCertificate(resource: Pick<Resource, 'settings'>): ClientCertificate {
  return settings.parse(resource.settings)
}
