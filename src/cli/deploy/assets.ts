/** The folder of static assets: what is in it, and bringing the files that the platform lacks. */
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { extname, join, relative, resolve, sep } from 'node:path'
import { blake3 } from '@noble/hashes/blake3.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import { getMimeType } from 'hono/utils/mime'
import ignore from 'ignore'
import { defaultLimits } from '#/core/limits.ts'
import { Complaint } from '../complaint.ts'
import type { CloudflareClient } from './cloudflare-client.ts'

export interface AssetFile {
  /** From the assets folder, with a slash first. */
  readonly path: string
  readonly file: string
  /** First 32 hex digits of BLAKE3 over the base64 of the content and the extension: wrangler's own name for it. */
  readonly hash: string
  readonly size: number
}

export interface AssetFolder {
  readonly files: readonly AssetFile[]
  readonly headersFile?: string
  readonly redirectsFile?: string
}

const encoder = new TextEncoder()

export function assetHash(content: Buffer, path: string): string {
  const text = content.toString('base64') + extname(path).slice(1)
  return bytesToHex(blake3(encoder.encode(text))).slice(0, 32)
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

/** Reads the folder; `_headers`, `_redirects` and `.assetsignore` are instructions, not assets. */
export function readAssets(folder: string): AssetFolder {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new Complaint(`"assets.directory" names ${folder}, which is no folder.`)
  }
  const ignored = ignore().add(['/.assetsignore', '/_headers', '/_redirects'])
  const own = readIfThere(join(folder, '.assetsignore'))
  if (own !== undefined) ignored.add(own)
  const names = globSync('**/*', { cwd: folder, withFileTypes: true })
    .filter(
      (entry) => entry.isFile() || (entry.isSymbolicLink() && statSync(join(entry.parentPath, entry.name)).isFile()),
    )
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((name) => !ignored.ignores(name))
    .sort()
  if (names.includes('_worker.js')) {
    throw new Complaint(
      `${join(folder, '_worker.js')} would be served as a file; list it in .assetsignore, or name it in "main".`,
    )
  }
  if (names.length > defaultLimits.assetFiles) {
    throw new Complaint(`${folder} holds ${names.length} files; a Worker may have ${defaultLimits.assetFiles}.`)
  }
  const headersFile = readIfThere(join(folder, '_headers'))
  const redirectsFile = readIfThere(join(folder, '_redirects'))
  return {
    files: names.map((name) => readAsset(folder, name)),
    ...(headersFile !== undefined && { headersFile }),
    ...(redirectsFile !== undefined && { redirectsFile }),
  }
}

function readAsset(folder: string, name: string): AssetFile {
  const file = resolve(folder, name)
  const { size } = statSync(file)
  if (size > defaultLimits.assetFileBytes) {
    throw new Complaint(`${file} has ${size} bytes; an asset may have ${defaultLimits.assetFileBytes}.`)
  }
  const path = `/${name.split('/').map(encodeURIComponent).join('/')}`
  return { path, file, hash: assetHash(readFileSync(file), name), size }
}

interface Session {
  readonly jwt: string
  readonly buckets?: readonly (readonly string[])[]
}

function takesSingleFiles(jwt: string): boolean {
  try {
    const payload = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
    return payload.wrangler_single_asset_uploads === true
  } catch {
    return false
  }
}

/** Opens an upload session, sends what is missing, and returns the token that the script's metadata names. */
export async function uploadAssets(
  client: CloudflareClient,
  script: string,
  files: readonly AssetFile[],
): Promise<string> {
  const manifest = Object.fromEntries(files.map(({ path, hash, size }) => [path, { hash, size }]))
  const session = await client.call<Session>('POST', `/workers/scripts/${script}/assets-upload-session`, {
    json: { manifest },
  })
  const buckets = session.buckets ?? []
  let completion = buckets.flat().length === 0 ? session.jwt : undefined
  const byHash = new Map(files.map((file) => [file.hash, file]))
  const single = takesSingleFiles(session.jwt)
  for (const bucket of single ? buckets.flat().map((hash) => [hash]) : buckets) {
    const sent = bucket.map((hash) => {
      const file = byHash.get(hash)
      if (file === undefined) throw new Complaint(`The platform asked for an asset ${hash} that is not in the folder.`)
      return file
    })
    const answer = single ? await sendOne(client, session.jwt, sent[0]!) : await sendBucket(client, session.jwt, sent)
    completion = answer?.jwt ?? completion
  }
  if (completion === undefined) throw new Complaint('The platform did not confirm the upload of the assets.')
  return completion
}

const typeOf = (file: AssetFile): string => getMimeType(file.path) ?? 'application/null'

function sendBucket(client: CloudflareClient, token: string, files: readonly AssetFile[]) {
  const form = new FormData()
  for (const file of files) {
    form.append(file.hash, new File([readFileSync(file.file).toString('base64')], file.hash, { type: typeOf(file) }))
  }
  return client.call<{ jwt?: string } | null>('POST', '/workers/assets/upload?base64=true', { form, token })
}

function sendOne(client: CloudflareClient, token: string, file: AssetFile) {
  const bytes = readFileSync(file.file)
  return client.call<{ jwt?: string } | null>('POST', `/workers/assets/upload/${file.hash}`, {
    bytes,
    type: typeOf(file),
    token,
  })
}
