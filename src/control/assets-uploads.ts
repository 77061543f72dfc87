/**
 * Uploads of a deployment's files: a list opens a session, missing files are sent, the last one earns a completion token
 * that a deploy redeems. What was sent stays known for a while, so that an upload that broke off goes on where it ended.
 */
import { randomUUID } from 'node:crypto'
import { type AssetEntry, serializeManifest } from '#/core/asset-manifest.ts'
import { nameWithin, withinOfBlob } from '#/core/blob-names.ts'
import { createBoundedCache, shareLoads } from '#/core/bounded-cache.ts'
import type { Limits } from '#/core/limits.ts'
import type { Within } from '#/core/pops.ts'
import type { Fabric, Seal } from '#/core/ports.ts'
import type { AssetsDeployment, BlobHash, ProgramName } from '#/core/snapshot.ts'
import type { Clock } from '#/core/units.ts'
import { type AssetsContext, parseAssetsConfig } from './assets-config.ts'
import { checkContent, type ExpectedContent, typeOfPath, uploadedType } from './assets-content.ts'
import { parseAssetList } from './assets-list.ts'
import { AssetsRefused } from './assets-refused.ts'
import { type AssetToken, openAssetTokens } from './assets-tokens.ts'

/** A file's content that was uploaded, by its hash: what no deployment needs to send again. */
interface KnownFile {
  readonly blob: BlobHash
  readonly type?: string
}

/** What an upload session has open in memory; made anew from its token after a restart or on another machine. */
interface Session {
  readonly files: readonly ExpectedContent[]
  readonly byHash: ReadonlyMap<string, ExpectedContent>
  /** Hashes not seen to be known yet. */
  readonly missing: Set<string>
}

export interface AssetUploads {
  /**
   * Opens a session for a list of files. Without missing files `jwt` already is the completion token and `buckets` is
   * empty. Rejects with `AssetsRefused` (`bad_manifest`, `too_large`).
   */
  open(program: ProgramName, manifest: unknown): Promise<{ jwt: string; buckets: string[][] }>
  /** Who may upload: rejects with `bad_token` or `token_expired` before anything of the body is read. */
  authorize(jwt: string): Promise<AssetToken>
  /**
   * Stores one file once its content is proven. Resolves with the completion token when nothing is missing any more.
   * Rejects with `unknown_file`, `wrong_content`, `bad_request` (the type), or whatever ended the body.
   */
  store(
    token: AssetToken,
    hash: string,
    type: string | undefined,
    body: AsyncIterable<Uint8Array>,
  ): Promise<{ jwt?: string }>
  /** What a completion token names; rejects with `bad_token`, `token_expired`. */
  resolveCompletion(jwt: string): Promise<{ manifest: BlobHash; files: number; program: ProgramName }>
  /** Turns an upload's `metadata.assets` (`{jwt, config}`) into what a deployment stores. */
  assetsDeploymentFrom(metadataAssets: unknown, context: AssetsContext): Promise<AssetsDeployment>
  /** Blobs that uploads count on though no deployment names them: the sweep keeps these. */
  inUse(): AsyncIterable<BlobHash>
  close(): void
}

interface Dependencies {
  readonly fabric: Fabric
  readonly seal: Seal
  readonly limits: Limits
  readonly clock: Clock
  /** Countries that may hold the files of a program; absent: anywhere, whatever it is. */
  readonly withinOf?: (program: ProgramName) => Within | undefined
  /** Asked before anything is stored: does `withinOf` know all settings? */
  readonly upToDate?: () => Promise<void>
}

/** Files of one bucket of the answer: wrangler's multipart uploads take one bucket each. */
const bucketBytes = 50 * 1024 * 1024
const bucketFiles = 1000
/** With so few files missing, each upload asks the fabric whether another machine got the rest. */
const fewMissing = 64
/** Known files looked up at once. */
const lookUps = 128

function createKnownFiles({ fabric, limits, clock }: Dependencies) {
  const bucket = fabric.bucket('asset-files')
  const lifetime = limits.assetKnownSeconds * 1000
  /** The same content may be known where a program's files may not be, or not stay. */
  const keyOf = (hash: string, within: Within | undefined) => (within === undefined ? hash : nameWithin(hash, within))
  async function remember(hash: string, file: KnownFile): Promise<void> {
    await bucket.put(keyOf(hash, withinOfBlob(file.blob)), Buffer.from(JSON.stringify(file)), {
      expiresAt: clock() + lifetime,
    })
  }
  async function get(hash: string, within: Within | undefined): Promise<KnownFile | undefined> {
    const entry = await bucket.get(keyOf(hash, within))
    if (entry === undefined) return undefined
    const file = JSON.parse(Buffer.from(entry.value).toString('utf8')) as KnownFile
    if (!(await fabric.blobs.has(file.blob))) return undefined
    // Used again: it must not expire while this upload runs.
    if ((entry.expiresAt ?? 0) - clock() < lifetime / 2) await remember(hash, file)
    return file
  }
  async function* blobs(): AsyncGenerator<BlobHash> {
    for (let after: string | undefined; ; ) {
      const page = await bucket.list({ limit: 1000, ...(after === undefined ? {} : { after }) })
      for (const { value } of page) yield (JSON.parse(Buffer.from(value).toString('utf8')) as KnownFile).blob
      after = page.at(-1)?.key
      if (after === undefined) return
    }
  }
  return {
    get,
    remember,
    blobs,
    watch: (seen: (hash: string) => void) =>
      bucket.watch('', (change) => {
        if (change.kind === 'put') seen(change.entry.key)
      }),
  }
}

function sessionOf(files: readonly ExpectedContent[], missing: Iterable<string>): Session {
  return { files, byHash: new Map(files.map((file) => [file.hash, file])), missing: new Set(missing) }
}

/** Deals the missing files into buckets that one multipart upload can carry. */
function intoBuckets(session: Session): string[][] {
  const buckets: string[][] = []
  let bytes = 0
  for (const hash of session.missing) {
    const { size } = session.byHash.get(hash)!
    const last = buckets.at(-1)
    if (last === undefined || last.length >= bucketFiles || bytes + size > bucketBytes) {
      buckets.push([hash])
      bytes = size
    } else {
      last.push(hash)
      bytes += size
    }
  }
  return buckets
}

export async function createAssetUploads(dependencies: Dependencies): Promise<AssetUploads> {
  const { fabric, limits, withinOf = () => undefined, upToDate = async () => {} } = dependencies
  const tokens = await openAssetTokens({ ...dependencies, lifetime: limits.assetSessionSeconds })
  const known = createKnownFiles(dependencies)
  const sessions = createBoundedCache<Session>(limits.assetEntriesHeld)
  const stopWatching = known.watch((hash) => {
    for (const session of sessions.values()) session.missing.delete(hash)
  })

  /** What is known of these files, by hash; looked up some at a time. */
  async function knownOf(program: ProgramName, files: readonly ExpectedContent[]): Promise<Map<string, KnownFile>> {
    const within = withinOf(program)
    const hashes = [...new Set(files.map((file) => file.hash))]
    const found = new Map<string, KnownFile>()
    for (let from = 0; from < hashes.length; from += lookUps)
      await Promise.all(
        hashes.slice(from, from + lookUps).map(async (hash) => {
          const file = await known.get(hash, within)
          if (file !== undefined) found.set(hash, file)
        }),
      )
    return found
  }

  function openSession(files: readonly ExpectedContent[], found: ReadonlyMap<string, KnownFile>): Session {
    return sessionOf(
      files,
      files.map((file) => file.hash).filter((hash) => !found.has(hash)),
    )
  }

  function hold(id: string, session: Session): Session {
    sessions.put(id, session, Math.max(1, session.files.length))
    return session
  }

  async function restore({ session: id, program, manifest }: AssetToken): Promise<Session> {
    const bytes = await fabric.blobs.get(manifest)
    if (bytes === undefined) throw new AssetsRefused('bad_token', 'The list of files of this upload is gone.')
    const files = JSON.parse(Buffer.from(bytes).toString('utf8')) as ExpectedContent[]
    return hold(id, openSession(files, await knownOf(program, files)))
  }
  const restoreOnce = shareLoads(async (token: string) => restore(JSON.parse(token) as AssetToken))
  async function sessionFor(token: AssetToken): Promise<Session> {
    return sessions.get(token.session) ?? restoreOnce(JSON.stringify(token))
  }

  async function complete(
    id: string,
    program: ProgramName,
    session: Session,
    found: ReadonlyMap<string, KnownFile>,
  ): Promise<string | undefined> {
    for (const hash of session.byHash.keys()) if (!found.has(hash)) session.missing.add(hash)
    if (session.missing.size > 0) return undefined
    const manifest = new Map<string, AssetEntry>()
    for (const { path, hash, size } of session.files) {
      const file = found.get(hash)!
      const type = file.type ?? typeOfPath(path)
      manifest.set(path, { hash, blob: file.blob, size, ...(type === undefined ? {} : { type }) })
    }
    const stored = await fabric.blobs.put(serializeManifest(manifest), { within: withinOf(program) })
    return tokens.issue('complete', { session: id, program, manifest: stored.hash, files: manifest.size })
  }

  /** The completion token once nothing is missing; several last uploads at once share the work. */
  async function finish(token: AssetToken, session: Session): Promise<{ jwt?: string }> {
    if (session.missing.size <= fewMissing)
      for (const hash of session.missing)
        if ((await known.get(hash, withinOf(token.program))) !== undefined) session.missing.delete(hash)
    if (session.missing.size > 0) return {}
    const jwt = await completeOnce(JSON.stringify(token))
    return jwt === undefined ? {} : { jwt }
  }
  const completeOnce = shareLoads(async (text: string) => {
    const token = JSON.parse(text) as AssetToken
    const session = await sessionFor(token)
    return complete(token.session, token.program, session, await knownOf(token.program, session.files))
  })

  const resolveCompletion = async (jwt: string) => {
    const { manifest, files, program } = await tokens.read('complete', jwt)
    if (!(await fabric.blobs.has(manifest))) throw new AssetsRefused('bad_token', 'The files of this upload are gone.')
    return { manifest, files, program }
  }

  return {
    async open(program, manifest) {
      const files = parseAssetList(manifest, limits)
      await upToDate()
      const id = randomUUID()
      const found = await knownOf(program, files)
      const session = openSession(files, found)
      const completion = await complete(id, program, session, found)
      if (completion !== undefined) return { jwt: completion, buckets: [] }
      const { hash } = await fabric.blobs.put(Buffer.from(JSON.stringify(files)), { within: withinOf(program) })
      hold(id, session)
      const jwt = await tokens.issue('upload', { session: id, program, manifest: hash, files: files.length })
      return { jwt, buckets: intoBuckets(session) }
    },
    authorize: (jwt) => tokens.read('upload', jwt),
    async store(token, hash, type, body) {
      const session = await sessionFor(token)
      const expected = session.byHash.get(hash)
      if (expected === undefined)
        throw new AssetsRefused('unknown_file', `No file of this upload has the hash ${hash.slice(0, 64)}.`)
      const kept = uploadedType(type)
      await upToDate()
      const { hash: blob } = await fabric.blobs.put(checkContent(body, expected), { within: withinOf(token.program) })
      await known.remember(hash, { blob, ...(kept === undefined ? {} : { type: kept }) })
      session.missing.delete(hash)
      return finish(token, session)
    },
    resolveCompletion,
    async assetsDeploymentFrom(metadataAssets, context) {
      const { jwt, config, ...rest } = (metadataAssets ?? {}) as Record<string, unknown>
      const unknown = Object.keys(rest)[0]
      if (unknown !== undefined) throw new AssetsRefused('bad_config', `assets.${unknown} is not supported.`)
      if (typeof jwt !== 'string') throw new AssetsRefused('bad_config', 'assets.jwt must be a completion token.')
      const checked = parseAssetsConfig(config, context, limits)
      const { manifest, files, program } = await resolveCompletion(jwt)
      if (program !== context.program)
        throw new AssetsRefused('bad_token', `The files were uploaded for '${program}', not for '${context.program}'.`)
      return { manifest, files, ...checked }
    },
    inUse: known.blobs,
    close: stopWatching,
  }
}
