/** Links of a version to stores. https://www.fastly.com/documentation/reference/api/services/resource/ */
import { type Context, Hono } from 'hono'
import { listKvNamespaces } from '#/control/kv-namespaces.ts'
import { newId } from '#/control/services/new-id.ts'
import type { ServicePart } from '#/control/services/service-records.ts'
import type { ComputeStore } from '#/core/compute.ts'
import type { FastlyApiDeps } from './deps.ts'
import { badRequest, FastlyError, notFound } from './errors.ts'
import { readForm } from './read-form.ts'
import { textOf } from './translate-fields.ts'
import { addressed } from './versions.ts'
import { partView } from './views.ts'

const path = '/service/:service/version/:version/resource'

/** Fastly's words for the kinds. */
export const resourceTypes: Readonly<Record<ComputeStore['kind'], string>> = {
  kv: 'kv-store',
  config: 'config',
  secret: 'secret-store',
  'access-list': 'acl',
}

export function resourceRoutes({
  control: { services },
  compute: { items },
  fabric,
  limits,
  clock,
}: FastlyApiDeps): Hono {
  const routes = new Hono()

  async function typeOf(id: string): Promise<string> {
    for (const kind of ['config', 'secret', 'access-list'] as const)
      if (items.find(kind, id) !== undefined) return resourceTypes[kind]
    if ((await listKvNamespaces(fabric)).some((one) => one.id === id)) return resourceTypes.kv
    throw notFound(`There is no store '${id.slice(0, 60)}'.`)
  }

  const all = async (c: Context) => {
    const { service, version } = addressed(c)
    return (await services.parts(service, version)).filter(({ kind }) => kind === 'resource')
  }
  const show = (c: Context, part: ServicePart) => {
    const { service, version } = addressed(c)
    return { ...partView(service, version, part), href: `/resources/stores/${textOf(part, 'resource_id')}` }
  }

  routes.get(path, async (c) => c.json((await all(c)).map((part) => show(c, part))))
  routes.get(`${path}/:id`, async (c) => c.json(show(c, find(await all(c), c.req.param('id')))))
  routes.post(path, async (c) => {
    const { service, version } = addressed(c)
    const { name = '', resource_id = '' } = await readForm(c, limits.fastlyApiBodyBytes)
    checkName(name)
    const type = await typeOf(resource_id)
    const now = clock()
    const fields = { id: newId(), resource_id, resource_type: type }
    const part: ServicePart = { kind: 'resource', name, createdAt: now, modifiedAt: now, fields }
    const added = await services.editParts(service, version, (parts) => {
      checkFree(parts, part)
      return { parts: [...parts, part], result: part }
    })
    return c.json(show(c, added))
  })
  routes.put(`${path}/:id`, async (c) => {
    const { service, version } = addressed(c)
    const { name = '' } = await readForm(c, limits.fastlyApiBodyBytes)
    checkName(name)
    const changed = await services.editParts(service, version, (parts) => {
      const before = find(parts, c.req.param('id'))
      const after = { ...before, name, modifiedAt: clock() }
      const others = parts.filter((part) => part !== before)
      checkFree(others, after)
      return { parts: [...others, after], result: after }
    })
    return c.json(show(c, changed))
  })
  routes.delete(`${path}/:id`, async (c) => {
    const { service, version } = addressed(c)
    await services.editParts(service, version, (parts) => {
      const found = find(parts, c.req.param('id'))
      return { parts: parts.filter((part) => part !== found), result: undefined }
    })
    return c.json({ status: 'ok' })
  })
  return routes
}

function checkName(name: string): void {
  if (name === '' || name.length > 255) throw badRequest('A link has a name of 1 to 255 characters.')
}

function find(parts: readonly ServicePart[], id: string): ServicePart {
  const found = parts.find((part) => part.kind === 'resource' && part.fields.id === id)
  if (found === undefined) throw notFound(`There is no link '${id.slice(0, 60)}' in this version.`)
  return found
}

/** A program opens stores of one kind by name. */
function checkFree(parts: readonly ServicePart[], link: ServicePart): void {
  const isSame = (part: ServicePart) =>
    part.kind === 'resource' && part.name === link.name && part.fields.resource_type === link.fields.resource_type
  if (parts.some(isSame)) throw new FastlyError(409, 'Duplicate record', `Duplicate resource link: '${link.name}'.`)
}
