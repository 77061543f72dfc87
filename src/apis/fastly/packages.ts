/** The package of a version: one that was read whole, or none. https://www.fastly.com/documentation/reference/api/services/package/ */
import { type Context, Hono } from 'hono'
import type { ServicePart } from '#/control/services/service-records.ts'
import type { FastlyApiDeps } from './deps.ts'
import { badRequest, FastlyError, notFound } from './errors.ts'
import { readBytes } from './read-body.ts'
import { badPackage, type Package, type PackageMetadata, readPackage } from './read-package.ts'
import { textOf } from './translate-fields.ts'
import { addressed } from './versions.ts'
import { timeView } from './views.ts'

const path = '/service/:service/version/:version/package'
/** Boundaries and headers around the package. */
const formBytes = 16 * 1024

export function packageRoutes({ control, limits, clock }: FastlyApiDeps): Hono {
  const { services } = control
  const routes = new Hono()
  let last: Promise<unknown> = Promise.resolve()

  /** A package lies in memory while it is read, so one after the other. */
  function inTurn<Result>(task: () => Promise<Result>): Promise<Result> {
    const run = last.then(task)
    last = run.catch(() => {})
    return run
  }

  async function store(c: Context): Promise<ServicePart> {
    const { service, version } = addressed(c)
    const read = await readPackage(await readArchive(c, limits.packageBytes), limits)
    await checkValid(read.module)
    const stage = control.stage({ kind: 'service', id: service })
    try {
      const { hash, bytes } = await stage.put(read.module)
      if (!(await stage.intact()))
        throw new FastlyError(409, 'Conflict', 'The package was removed meanwhile. Try again.')
      return await services.editParts(service, version, (parts) => {
        const part = partOf(read, { hash, bytes }, clock())
        return { parts: [...parts.filter(({ kind }) => kind !== 'package'), part], result: part }
      })
    } finally {
      stage.release()
    }
  }

  routes.get(path, async (c) => {
    const { service, version } = addressed(c)
    const part = (await services.parts(service, version)).find(({ kind }) => kind === 'package')
    if (part === undefined) throw notFound('This version has no package.')
    return c.json(packageView(service, version, part))
  })
  routes.put(path, async (c) => {
    const { service, version } = addressed(c)
    if (services.version(service, version).locked)
      throw new FastlyError(422, 'Bad request', `Version ${version} of service ${service} is locked.`)
    return c.json(packageView(service, version, await inTurn(() => store(c))))
  })
  return routes
}

/** Compiles it off this thread and throws the code away: V8 names the function and the byte that are wrong. */
async function checkValid(module: Uint8Array): Promise<void> {
  try {
    await WebAssembly.compile(module as Uint8Array<ArrayBuffer>)
  } catch (thrown) {
    if (!(thrown instanceof WebAssembly.CompileError)) throw thrown
    const why = thrown.message.replace(/^WebAssembly\.compile\(\): /, '').slice(0, 500)
    throw badPackage(`bin/main.wasm is not valid: ${why}`)
  }
}

function partOf({ metadata }: Package, module: { hash: string; bytes: number }, now: number): ServicePart {
  const { authors, ...rest } = metadata
  const fields = { ...rest, authors: JSON.stringify(authors), module: module.hash, module_bytes: module.bytes }
  return { kind: 'package', name: '', createdAt: now, modifiedAt: now, fields, blobs: [module.hash] }
}

function packageView(service: string, version: number, part: ServicePart): object {
  const { module: _module, module_bytes: _bytes, authors: _authors, ...metadata } = part.fields
  const authors = JSON.parse(textOf(part, 'authors') ?? '[]') as PackageMetadata['authors']
  return {
    id: textOf(part, 'hashsum')?.slice(0, 22),
    service_id: service,
    version,
    metadata: { ...metadata, authors },
    created_at: timeView(part.createdAt),
    updated_at: timeView(part.modifiedAt),
    deleted_at: null,
  }
}

/** The only part of the form, or a body that is the archive itself. */
async function readArchive(c: Context, most: number): Promise<Uint8Array> {
  const type = c.req.header('content-type') ?? ''
  const form = /^multipart\/form-data\b.*;\s*boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))/i.exec(type)
  const archive = form === null ? await readBytes(c, most, 'The package') : await readForm(c, form[1] ?? form[2]!, most)
  if (archive.length > most)
    throw new FastlyError(413, 'Request entity too large', `The package is larger than ${most} bytes.`)
  return archive
}

/** RFC 7578: `name="package"`, and nothing after it. */
async function readForm(c: Context, boundary: string, most: number): Promise<Uint8Array> {
  const body = await readBytes(c, most + formBytes, 'The package')
  const start = Buffer.from(`--${boundary}\r\n`)
  const headEnd = body.indexOf('\r\n\r\n')
  const end = body.lastIndexOf(`\r\n--${boundary}--`)
  if (!body.subarray(0, start.length).equals(start) || headEnd < 0 || end < headEnd)
    throw badRequest('The form with the package is malformed or cut short.')
  const content = body.subarray(headEnd + 4, end)
  const isNamed = /^content-disposition:.*[;\s]name="?package"?/im.test(body.toString('latin1', start.length, headEnd))
  if (!isNamed || content.includes(`\r\n--${boundary}`)) throw badRequest('The form has one part, named package.')
  return content
}
