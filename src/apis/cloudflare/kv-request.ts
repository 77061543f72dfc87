/** What all calls about KV have in common: the namespace in the path, JSON bodies, and refusals in Cloudflare's words. */
import type { Context } from 'hono'
import { findKvNamespace, type KvNamespace } from '#/control/kv-namespaces.ts'
import { EdgeError, type ErrorCode } from '#/core/errors.ts'
import { refuseKey } from '#/core/kv-rules.ts'
import type { Limits } from '#/core/limits.ts'
import type { Fabric, KvStores } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import { VendorError } from './envelope.ts'
import { readCapped } from './kv-body.ts'

export interface KvRoutesParts {
  readonly kv: KvStores
  readonly fabric: Fabric
  readonly limits: Limits
  readonly clock: Clock
}

export const kvPath = '/accounts/:account/storage/kv/namespaces'

/** The body as JSON, never more than `limit` bytes of it. */
export async function readJson(c: Context, limit: number, verb: string): Promise<unknown> {
  const body = await readCapped(c.req, limit, `${verb}: 'The body is larger than ${limit} bytes.'`)
  try {
    return JSON.parse(body.toString())
  } catch {
    throw new VendorError(400, 10033, `${verb}: 'The body is not JSON.'`)
  }
}

/** The namespace in the path; throws 10013 with Cloudflare's sentence for the verb. */
export async function requireNamespace(
  c: Context,
  { fabric }: Pick<KvRoutesParts, 'fabric'>,
  verb: string,
): Promise<KvNamespace> {
  const found = await findKvNamespace(fabric, c.req.param('id') ?? '')
  if (found === undefined) throw noNamespace(verb)
  return found
}

/** The namespace that was named is not there. */
export function noNamespace(verb: string): VendorError {
  return new VendorError(404, 10013, `${verb}: 'namespace not found'`)
}

/** `null` says «no metadata». */
export function keepsMetadata(metadata: string | undefined): metadata is string {
  return metadata !== undefined && metadata.trim() !== 'null'
}

/** 10030: key too long; 10033: something else about the request; 10001: this platform cannot, now. */
const numbers: Partial<Record<ErrorCode, number>> = { url_too_long: 10030, bad_request: 10033, body_too_large: 10033 }

/** Runs a call to the store and says its refusals in Cloudflare's form; `verb` is its word before the sentence. */
export async function act<Result>(verb: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof EdgeError)) throw error
    throw toVendor(verb, error)
  }
}

/** Throws for a key that Workers KV refuses; the store itself takes Fastly's longer ones. */
export function requireKey(verb: string, key: string, { workersKvKeyBytes }: Limits): void {
  const refusal = refuseKey(key, workersKvKeyBytes)
  if (refusal !== undefined) throw toVendor(verb, refusal)
}

/** A refusal of the store, as Cloudflare's API says it. */
export function toVendor(verb: string, error: EdgeError): VendorError {
  return new VendorError(error.row.status, numbers[error.code] ?? 10001, `${verb}: '${error.message}'`)
}
