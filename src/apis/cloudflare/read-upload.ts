/** An upload of a program: modules go to the fabric while they arrive, the metadata says what they are. */
import type { Context } from 'hono'
import type { Control, Stage } from '#/control/control.ts'
import type { Upload } from '#/control/upload-version.ts'
import type { Limits } from '#/core/limits.ts'
import type { AssetsDeployment, BlobHash, ProgramCode, ProgramModule, ProgramName } from '#/core/snapshot.ts'
import type { EpochMs } from '#/core/units.ts'
import { doorError } from './errors.ts'
import { makeDatasets } from './make-datasets.ts'
import { type Metadata, readMetadata } from './metadata.ts'
import { boundaryOf, type Part, readMultipart } from './multipart.ts'
import { refuseUnsupported } from './unsupported-bindings.ts'
import { isSupportedType, readBinding } from './wire-bindings.ts'

/** What else is in an upload that its files depend on. */
export interface AssetsContext {
  readonly program: ProgramName
  /** Is there code besides the files? */
  readonly hasCode: boolean
  readonly compatibilityDate: string
  readonly compatibilityFlags: readonly string[]
}

/** Turns an upload's `metadata.assets` (`{jwt, config}`) into what is deployed; throws a `VendorError`. */
export type ResolveAssets = (metadataAssets: unknown, context: AssetsContext) => Promise<AssetsDeployment>

export interface ReadUploadDeps {
  readonly limits: Limits
  readonly now: EpochMs
  readonly stage: Stage
  readonly control: Pick<Control, 'resources' | 'createResource'>
  readonly resolveAssets?: ResolveAssets
}

interface StoredPart {
  readonly type: string
  readonly blob: BlobHash
  readonly bytes: number
}

interface Parts {
  readonly metadata: string
  readonly files: ReadonlyMap<string, StoredPart>
  readonly sourceMaps: number
}

/** Throws a `VendorError`; the rest of the body is read and dropped then, so that the client gets to see the answer. */
export async function readUpload(c: Context, program: ProgramName, deps: ReadUploadDeps) {
  const body = chunksOf(c)
  try {
    const parts = await readParts(readMultipart(body.chunks, boundaryOf(c.req.header('content-type'))), deps)
    const metadata = readMetadata(parts.metadata, deps.now)
    const upload = await toUpload(program, metadata, parts.files, deps)
    const notes = [...metadata.notes, ...(parts.sourceMaps > 0 ? ['Source maps are not used.'] : [])]
    return { upload, notes }
  } finally {
    await body.drain(4 * deps.limits.moduleBytes)
  }
}

/** The body's chunks by an iterator that survives when whoever reads stops early. */
function chunksOf(c: Context) {
  const reader = (c.req.raw.body ?? new Blob([]).stream()).getReader() as ReadableStreamDefaultReader<Uint8Array>
  let over = false
  const next = async (): Promise<IteratorResult<Uint8Array>> => {
    const { done, value } = await reader.read()
    if (done) over = true
    return done ? { done, value: undefined } : { done, value }
  }
  return {
    chunks: { [Symbol.asyncIterator]: () => ({ next }) } satisfies AsyncIterable<Uint8Array>,
    /** Reads and drops what is left, `most` bytes of it; then hangs up. */
    async drain(most: number): Promise<void> {
      let dropped = 0
      while (!over && dropped < most) {
        const read = await next().catch(() => undefined)
        if (read === undefined) return
        dropped += read.value?.byteLength ?? 0
      }
      if (!over) await reader.cancel().catch(() => {})
    },
  }
}

async function readParts(parts: AsyncIterable<Part>, { stage, limits }: ReadUploadDeps): Promise<Parts> {
  const files = new Map<string, StoredPart>()
  let metadata: string | undefined
  let sourceMaps = 0
  let left = limits.moduleBytes
  const modules = (chunks: AsyncIterable<Uint8Array>) =>
    capped(chunks, left, `The modules are larger than ${limits.moduleBytes} bytes altogether.`)
  for await (const part of parts) {
    if (part.name === 'metadata' && part.filename === undefined) {
      if (metadata !== undefined) throw doorError('badMultipart', 'There are two parts named metadata.')
      const what = `The metadata part is larger than ${limits.metadataBytes} bytes.`
      metadata = await textOf(capped(part.body, limits.metadataBytes, what))
    } else if (part.type === 'application/source-map') {
      sourceMaps += 1
      for await (const chunk of modules(part.body)) left -= chunk.byteLength
    } else {
      if (files.has(part.name))
        throw doorError('badMultipart', `There are two parts named '${part.name.slice(0, 200)}'.`)
      if (files.size >= limits.modulesPerProgram)
        throw doorError('invalidUpload', `There are more than ${limits.modulesPerProgram} modules.`)
      const { hash, bytes } = await stage.put(modules(part.body))
      left -= bytes
      files.set(part.name, { type: part.type, blob: hash, bytes })
    }
  }
  if (metadata === undefined) throw doorError('badMultipart', 'The upload has no part named metadata.')
  return { metadata, files, sourceMaps }
}

async function* capped(chunks: AsyncIterable<Uint8Array>, most: number, message: string): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.byteLength
    if (bytes > most) throw doorError('tooLarge', message)
    yield chunk
  }
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const held: Uint8Array[] = []
  for await (const chunk of chunks) held.push(chunk)
  return Buffer.concat(held).toString('utf8')
}

async function toUpload(
  program: ProgramName,
  metadata: Metadata,
  files: ReadonlyMap<string, StoredPart>,
  deps: ReadUploadDeps,
): Promise<Upload> {
  refuseUnsupported(metadata.bindings, isSupportedType)
  const bound = new Set<string>()
  const asked = metadata.bindings.map((raw, index) =>
    readBinding(raw, index, {
      part(part) {
        const file = files.get(part)
        if (file === undefined)
          throw doorError(
            'invalidUpload',
            `Binding at index ${index} names part '${part}', which is not in the upload.`,
          )
        bound.add(part)
        return file.blob
      },
      resource: (kind, name) => deps.control.resources(kind).find((one) => one.name === name),
    }),
  )
  const code = toCode(metadata, files, bound)
  const assets = metadata.assets && (await toAssets(program, metadata, deps))
  const bindings = await makeDatasets(asked, deps.control)
  const {
    migrations,
    declaredObjects,
    declaredWorkflows,
    message,
    tag,
    tags,
    observability,
    tailConsumers,
    cpuMs,
    frontCache,
  } = metadata
  return {
    bindings,
    keep: metadata.keep,
    keepAssets: metadata.keepAssets,
    limits: cpuMs === undefined ? {} : { cpuMs },
    source: 'wrangler',
    ...(code !== undefined && { code }),
    ...(frontCache !== undefined && { frontCache }),
    ...(assets !== undefined && { assets }),
    ...(migrations !== undefined && { migrations }),
    ...(declaredObjects !== undefined && { declaredObjects }),
    ...(declaredWorkflows.length > 0 && { declaredWorkflows }),
    ...(message !== undefined && { message }),
    ...(tag !== undefined && { tag }),
    ...(tags !== undefined && { tags }),
    ...(observability !== undefined && { observability }),
    ...(tailConsumers !== undefined && { tailConsumers }),
  }
}

const moduleKinds: Record<string, ProgramModule['kind'] | undefined> = {
  'application/javascript+module': 'esm',
  'text/javascript+module': 'esm',
  'application/javascript': 'cjs',
  'text/javascript': 'cjs',
  'application/wasm': 'wasm',
  'text/plain': 'text',
  'application/octet-stream': 'data',
  'application/json': 'json',
}

function toCode(
  { main, compatibilityDate, compatibilityFlags }: Metadata,
  files: ReadonlyMap<string, StoredPart>,
  bound: ReadonlySet<string>,
): ProgramCode | undefined {
  const parts = [...files].filter(([name]) => !bound.has(name))
  if (main === undefined) {
    if (parts.length === 0) return undefined
    throw doorError('badMetadata', `The upload has modules, but metadata names no main_module or body_part.`)
  }
  if (!files.has(main.part))
    throw doorError(
      'invalidUpload',
      `The main module '${main.part.slice(0, 200)}' is not in the upload, which holds: ${[...files.keys()].slice(0, 20).join(', ') || 'nothing'}.`,
    )
  if (main.syntax === 'script' && parts.length > 1)
    throw doorError('invalidUpload', 'A script in service-worker syntax is one part; bind other parts as blobs.')
  const modules = parts.map(([name, { type, blob, bytes }]): ProgramModule => {
    const kind = moduleKinds[type]
    if (kind === undefined)
      throw doorError('unsupported', `Module '${name}' is of type '${type}', which Rimward does not support.`)
    return { name, kind, blob, bytes }
  })
  const first = modules.find((module) => module.name === main.part)!
  if (first.kind !== (main.syntax === 'script' ? 'cjs' : 'esm'))
    throw doorError(
      'invalidUpload',
      `The main module '${main.part}' must be of type application/javascript${main.syntax === 'script' ? '' : '+module'}.`,
    )
  return { syntax: main.syntax, mainModule: main.part, modules, compatibilityDate, compatibilityFlags }
}

async function toAssets(program: ProgramName, metadata: Metadata, { resolveAssets }: ReadUploadDeps) {
  if (resolveAssets === undefined) throw doorError('unsupported', 'This platform runs without assets.')
  const { main, compatibilityDate, compatibilityFlags } = metadata
  return resolveAssets(metadata.assets, { program, hasCode: main !== undefined, compatibilityDate, compatibilityFlags })
}
