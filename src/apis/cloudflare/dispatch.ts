/**
 * Workers for Platforms: namespaces and the programs in them (https://developers.cloudflare.com/api/resources/workers_for_platforms/).
 * A program of a namespace is one like others under an inner name, with no address of its own.
 */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import { dispatchedName, dispatchedParts } from '#/core/dispatch-names.ts'
import type { Resource } from '#/core/resources.ts'
import { type AssetParts, openSession } from './assets.ts'
import type { CloudflareApiDeps } from './deps.ts'
import { noDispatched, noNamespace } from './dispatch-names.ts'
import { ok, VendorError } from './envelope.ts'
import { doorTable, refusalTable } from './errors.ts'
import { readJson } from './read-json.ts'
import { deployUpload } from './scripts.ts'
import { secretRoutes } from './secrets.ts'
import { scriptView, settingsView } from './wire.ts'

export type DispatchParts = Pick<CloudflareApiDeps, 'control' | 'limits' | 'clock' | 'resolveAssets'> & AssetParts

const path = '/accounts/:account/workers/dispatch/namespaces'
const scripts = `${path}/:namespace/scripts`
const script = `${scripts}/:name`
/** The vendor has eight at most. */
const tagList = z.array(z.string().max(200)).max(8)
const name = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$/, 'use 1 to 63 letters, digits, - and _')
const body = z.strictObject({ name })

export function dispatchRoutes(parts: DispatchParts): Hono {
  const { control, limits } = parts
  const routes = new Hono()

  function requireNamespace(c: Context): Resource {
    const asked = c.req.param('namespace')!
    const found = control.resources('dispatch').find((one) => one.name === asked)
    if (found === undefined) throw noNamespace(asked)
    return found
  }
  const nameOf = (c: Context) => dispatchedName(requireNamespace(c).id, c.req.param('name')!)
  /** Its program's inner name, where there is one. */
  function requireProgram(c: Context): string {
    const program = nameOf(c)
    if (control.findProgram(program) === undefined) throw noDispatched()
    return program
  }
  const programsIn = (namespace: string) =>
    control.programs().filter((one) => dispatchedParts(one.name)?.namespace === namespace)
  const view = ({ id, name, createdAt, modifiedAt }: Resource) => ({
    namespace_id: id,
    namespace_name: name,
    script_count: programsIn(id).length,
    created_on: new Date(createdAt).toISOString(),
    modified_on: new Date(modifiedAt).toISOString(),
  })
  const asScript = (record: ReturnType<typeof control.program>) =>
    scriptView({ ...record, name: dispatchedParts(record.name)!.name })

  routes.get(path, (c) => ok(c, control.resources('dispatch').map(view)))
  routes.post(path, async (c) => {
    const { name } = await readJson(c, body, limits.metadataBytes)
    return ok(c, view(await control.createResource({ kind: 'dispatch', name })))
  })
  routes.get(`${path}/:namespace`, (c) => ok(c, view(requireNamespace(c))))
  routes.put(`${path}/:namespace`, async (c) => {
    const wish = await readJson(c, body, limits.metadataBytes)
    return ok(c, view(await control.changeResource(requireNamespace(c), () => wish)))
  })
  routes.delete(`${path}/:namespace`, async (c) => {
    const namespace = requireNamespace(c)
    const held = programsIn(namespace.id).length
    if (held > 0) throw inUse(`'${namespace.name}' cannot be deleted: it holds ${held} scripts. Delete them first.`)
    const bound = programsBoundTo(parts, namespace.id)
    if (bound.length > 0) throw inUse(`'${namespace.name}' cannot be deleted: ${bound.join(', ')} bound to it.`)
    await control.removeResource(namespace)
    return ok(c, null)
  })

  routes.get(scripts, (c) => {
    const matches = tagFilter(c.req.query('tags'))
    return ok(c, programsIn(requireNamespace(c).id).filter(matches).map(asScript))
  })
  routes.delete(scripts, async (c) => {
    const { id } = requireNamespace(c)
    const asked = c.req.query('tags')
    if (asked === undefined) throw badTags('Deleting scripts together needs ?tags=TAG:yes.')
    const matches = tagFilter(asked)
    const removed = programsIn(id).filter(matches)
    for (const { name } of removed) await control.removeProgram(name, { force: c.req.query('force') === 'true' })
    return ok(c, removed.map(asScript))
  })
  /** Its inner name would be read as that of another one. */
  function calledIn(c: Context): string {
    const called = c.req.param('name')!
    if (called.includes('.')) throw new VendorError(400, refusalTable.bad_name.code, `'${called}' is not a name.`)
    return called
  }
  routes.put(script, (c) => deployUpload(c, nameOf(c), parts, calledIn(c)))
  routes.post(`${script}/assets-upload-session`, (c) => {
    calledIn(c)
    return openSession(c, nameOf(c), parts)
  })
  const tagsOf = (c: Context) => control.program(requireProgram(c)).tags
  const setTags = (c: Context, tags: readonly string[]) =>
    control.changeProgram(requireProgram(c), { tags: [...new Set(tags)].map(checkTag) })
  routes.get(`${script}/tags`, (c) => ok(c, tagsOf(c)))
  routes.put(`${script}/tags`, async (c) => {
    const { tags } = await setTags(c, await readJson(c, tagList, limits.metadataBytes))
    return ok(c, tags)
  })
  routes.put(`${script}/tags/:tag`, async (c) => {
    await setTags(c, [...tagsOf(c), c.req.param('tag')])
    return ok(c, null)
  })
  routes.delete(`${script}/tags/:tag`, async (c) => {
    await setTags(
      c,
      tagsOf(c).filter((tag) => tag !== c.req.param('tag')),
    )
    return ok(c, null)
  })
  routes.get(script, (c) => {
    const record = control.program(requireProgram(c))
    const namespace = requireNamespace(c)
    return ok(c, {
      script: asScript(record),
      dispatch_namespace: namespace.name,
      created_on: new Date(record.createdAt).toISOString(),
      modified_on: new Date(record.modifiedAt).toISOString(),
    })
  })
  routes.delete(script, async (c) => {
    await control.removeProgram(requireProgram(c), { force: c.req.query('force') === 'true' })
    return ok(c, null)
  })
  routes.get(`${script}/settings`, async (c) => {
    const record = control.program(requireProgram(c))
    return ok(c, settingsView(record, await control.version(record.name)))
  })
  routes.get(`${script}/bindings`, async (c) => {
    const record = control.program(requireProgram(c))
    return ok(c, settingsView(record, await control.version(record.name)).bindings)
  })
  routes.route('/', secretRoutes(parts, script, requireProgram))
  return routes
}

/** The vendor's filter: `TAG:yes,OTHER:no`; all must hold. Absent: every script. */
function tagFilter(asked: string | undefined): (record: { readonly tags: readonly string[] }) => boolean {
  if (asked === undefined) return () => true
  const wanted = asked.split(',').map((one) => {
    const [, tag, answer] = /^(.+):(yes|no)$/.exec(one.trim()) ?? []
    if (tag === undefined) throw badTags(`'${one.slice(0, 80)}' is no filter: write TAG:yes or TAG:no.`)
    return { tag, has: answer === 'yes' }
  })
  return ({ tags }) => wanted.every(({ tag, has }) => tags.includes(tag) === has)
}

function checkTag(tag: string): string {
  if (tag === '' || /[,&]/.test(tag))
    throw badTags(`'${tag.slice(0, 80)}' is no tag: it is not empty and has no , or &.`)
  return tag
}

function badTags(message: string): VendorError {
  return new VendorError(400, doorTable.badRequest.code, message)
}

function inUse(message: string): VendorError {
  return new VendorError(409, doorTable.badRequest.code, message)
}

/** Those that serve now. */
function programsBoundTo({ control }: DispatchParts, namespace: string): string[] {
  return [...control.snapshot.programs.values()]
    .filter(({ rollout }) =>
      rollout.some(({ deployment }) =>
        deployment.bindings.some((one) => one.kind === 'dispatch' && one.namespace === namespace),
      ),
    )
    .map((program) => program.name)
}
