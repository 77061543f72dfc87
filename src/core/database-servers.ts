/** Database servers elsewhere that programs connect to through a binding (Cloudflare's Hyperdrive). */
import { z } from 'zod'
import type { Resource } from './resources.ts'
import type { Sealed } from './snapshot.ts'

/**
 * When TLS is spoken to the server, as libpq's `sslmode` has it: `prefer` goes on in clear where the server has none,
 * `verify-ca` and `verify-full` check the certificate, the latter its name too.
 */
export const tlsModes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
export type TlsMode = (typeof tlsModes)[number]

/** `settings` of a resource of kind `server`. */
const settings = z.object({
  scheme: z.enum(['postgresql', 'mysql']),
  host: z.string(),
  port: z.int().min(1).max(65_535),
  database: z.string(),
  user: z.string(),
  password: z.string(),
  tls: z.enum(tlsModes),
  /** PEM: the only authorities trusted, instead of the usual ones. */
  ca: z.exactOptional(z.string()),
  /** Id of the certificate's resource that `ca` was taken from, for who asks. */
  caId: z.exactOptional(z.string()),
})

export interface DatabaseServer extends z.infer<typeof settings> {
  readonly password: Sealed
}

/** Throws an Error that says what does not fit. */
export function databaseServer(resource: Pick<Resource, 'settings'>): DatabaseServer {
  return settings.parse(resource.settings)
}
