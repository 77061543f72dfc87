/**
 * Uploads of static assets, as wrangler sends them.
 * Source: developers.cloudflare.com/workers/static-assets/direct-upload.
 */
import type { Context } from 'hono'
import { Hono } from 'hono'
import { type AssetRefusal, AssetsRefused } from '#/control/assets-refused.ts'
import type { AssetUploads } from '#/control/assets-uploads.ts'
import type { Limits } from '#/core/limits.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import { ok, VendorError } from './envelope.ts'
import { bodyOf, readBody, readJson } from './read-body.ts'

/** Status and Cloudflare's number; 100324 is what it answers for a `_redirects` file. */
const refusals: Record<AssetRefusal, readonly [status: number, code: number]> = {
  bad_request: [400, 10001],
  bad_manifest: [400, 10001],
  bad_token: [401, 10001],
  token_expired: [401, 10001],
  unknown_file: [400, 10001],
  wrong_content: [400, 10001],
  too_large: [413, 10001],
  bad_config: [400, 10021],
  bad_redirects: [400, 100324],
  bad_headers: [400, 10021],
}

/** A refusal in the vendor's words; anything else stays what it is. */
function toVendorError(thrown: unknown): unknown {
  if (!(thrown instanceof AssetsRefused)) return thrown
  const [status, code] = refusals[thrown.why]
  return new VendorError(status, code, thrown.message)
}

async function orVendorError<Value>(work: Promise<Value>): Promise<Value> {
  try {
    return await work
  } catch (thrown) {
    throw toVendorError(thrown)
  }
}

/** Turns an upload's `metadata.assets` into what is deployed; rejects with a `VendorError`. */
export function resolveAssetsWith(uploads: AssetUploads): AssetUploads['assetsDeploymentFrom'] {
  return (metadataAssets, context) => orVendorError(uploads.assetsDeploymentFrom(metadataAssets, context))
}

async function readManifest(c: Context, limits: Limits): Promise<unknown> {
  const { manifest, ...rest } = ((await readJson(c, limits.assetManifestBytes)) ?? {}) as Record<string, unknown>
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined) throw new VendorError(400, 10001, `The field '${unknown}' is not supported.`)
  return manifest
}

async function readForm(c: Context, limits: Limits): Promise<[string, File][]> {
  const bytes = await readBody(c, limits.assetUploadBytes)
  const headers = { 'content-type': c.req.header('content-type') ?? '' }
  try {
    // Web FormData throws on a body that stops before its last boundary.
    const form = await new Response(new Uint8Array(bytes), { headers }).formData()
    return [...form].map(([name, value]) => [name, typeof value === 'string' ? new File([value], name) : value])
  } catch (error) {
    throw new AssetsRefused('bad_request', 'The request body is not a complete multipart/form-data.', { cause: error })
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

export interface AssetParts {
  readonly uploads: AssetUploads
  readonly limits: Limits
}

/** Opens an upload of files for a program, and answers with what has to be sent. */
export function openSession(c: Context, program: ProgramName, { uploads, limits }: AssetParts): Promise<Response> {
  return orVendorError(
    (async () => {
      const session = await uploads.open(program, await readManifest(c, limits))
      return ok(c, session, { status: session.buckets.length === 0 ? 200 : 201 })
    })(),
  )
}

/** Routes below `/client/v4`. The upload routes take the session's token, not the API token: mount them outside of that check. */
export function assetRoutes({ uploads, limits }: AssetParts): Hono {
  const app = new Hono()

  app.post('/accounts/:account/workers/scripts/:name/assets-upload-session', (c) =>
    openSession(c, c.req.param('name'), { uploads, limits }),
  )

  function authorize(c: Context) {
    const match = /^Bearer (.+)$/i.exec(c.req.header('authorization') ?? '')
    if (match === null) throw new VendorError(401, 10001, 'The token of the upload session is missing.')
    return uploads.authorize(match[1]!)
  }

  app.post('/accounts/:account/workers/assets/upload', (c) =>
    orVendorError(
      (async () => {
        const token = await authorize(c)
        if (c.req.query('base64') !== 'true')
          throw new AssetsRefused('bad_request', 'Uploads of several files must have base64=true.')
        let result: { jwt?: string } = {}
        for (const [hash, file] of await readForm(c, limits)) {
          const content = Buffer.from(await file.text(), 'base64')
          result = await uploads.store(token, hash, file.type, once(content))
        }
        return ok(c, result, { status: 201 })
      })(),
    ),
  )

  app.post('/accounts/:account/workers/assets/upload/:hash', (c) =>
    orVendorError(
      (async () => {
        const token = await authorize(c)
        const result = await uploads.store(token, c.req.param('hash'), c.req.header('content-type'), bodyOf(c))
        return ok(c, result, { status: 201 })
      })(),
    ),
  )
  return app
}
