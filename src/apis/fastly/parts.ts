/** Domains, backends and rules of a version: one set of calls for all kinds of them. */
import { type Context, Hono } from 'hono'
import { checkShield } from '#/control/check-shield.ts'
import type { ServicePart } from '#/control/services/service-records.ts'
import type { Place, Within } from '#/core/pops.ts'
import type { FastlyApiDeps } from './deps.ts'
import { followMembers, membersOf } from './directors.ts'
import { badRequest, FastlyError, notFound, unsupported } from './errors.ts'
import { type PartKind, partKinds, refusedDocuments, refusedKinds } from './part-kinds.ts'
import { changedFields, newFields } from './read-fields.ts'
import { type Form, readForm } from './read-form.ts'
import { checkPart } from './translate.ts'
import { textOf } from './translate-fields.ts'
import { addressed } from './versions.ts'
import { partView } from './views.ts'

type Parts = readonly ServicePart[]

/** What dictionaries and ACLs keep is a table of the service. */
const tableKinds = { dictionary: 'texts', acl: 'networks' } as const

const base = '/service/:service/version/:version'

/** What versions of one type of service can hold. */
export interface PartSet {
  readonly kinds: readonly PartKind[]
  /** By path, with the beginning of the sentence that refuses it. */
  readonly refused: Readonly<Record<string, string>>
  readonly documents: Readonly<Record<string, string>>
}

const deliveryParts: PartSet = { kinds: partKinds, refused: refusedKinds, documents: refusedDocuments }

export function partRoutes(deps: FastlyApiDeps, { kinds, refused, documents } = deliveryParts): Hono {
  const routes = new Hono()
  routes.get(`${base}/domain/check_all`, async (c) => {
    const { service, version } = addressed(c)
    const domains = (await deps.control.services.parts(service, version)).filter(({ kind }) => kind === 'domain')
    return c.json(domains.map((one) => checkView(service, version, one)))
  })
  routes.get(`${base}/domain/:name/check`, async (c) => {
    const { service, version } = addressed(c)
    const parts = await deps.control.services.parts(service, version)
    return c.json(checkView(service, version, find(parts, domainKind, nameOf(c))))
  })
  routes.get('/service/:service/domain', async (c) => {
    const { services } = deps.control
    const { id, active } = services.service(c.req.param('service'))
    const parts = active === undefined ? [] : await services.parts(id, active)
    return c.json(parts.filter(({ kind }) => kind === 'domain').map((part) => partView(id, active ?? 0, part)))
  })

  for (const kind of kinds) addRoutes(routes, kind, deps)
  for (const [path, what] of Object.entries(refused)) addRefused(routes, path, what, deps)
  for (const [path, what] of Object.entries(documents))
    routes.all(`${base}/${path}`, () => {
      throw unsupported(what)
    })
  return routes
}

const domainKind = partKinds.find(({ path }) => path === 'domain')!

/** Whose DNS points here is not ours to know: a name answers as soon as it is asked here. */
const checkView = (service: string, version: number, part: ServicePart) => [partView(service, version, part), '', true]

function addRoutes(routes: Hono, kind: PartKind, { control, limits, clock }: FastlyApiDeps): void {
  const { services } = control
  /** Answers of a service do not pass through countries that it may not be in. */
  const check = (service: string, part: ServicePart) => {
    const site = services.siteName(service)
    return checked(part, control.snapshot.sites.find(({ name }) => name === site)?.within, control.places())
  }
  const path = `${base}/${kind.path}`
  const view = (service: string, version: number, part: ServicePart, parts: Parts) =>
    partView(service, version, part, kind.path === 'director' ? { backends: membersOf(parts, part.name) } : {})

  routes.get(path, async (c) => {
    const { service, version } = addressed(c)
    const parts = await services.parts(service, version)
    const found = parts.filter((part) => part.kind === kind.path)
    return c.json(found.map((part) => view(service, version, part, parts)))
  })

  routes.post(path, async (c) => {
    const { service, version } = addressed(c)
    const form = await readForm(c, limits.fastlyApiBodyBytes)
    const made = check(service, newPart(kind, sealed(kind, form, services), clock()))
    const add = (part: ServicePart) =>
      services.editParts(service, version, (parts) => {
        if (parts.some(sameAs(kind, part.name))) throw duplicate(kind, part.name)
        return { parts: [...parts, part], result: part }
      })
    const table = tableKinds[kind.path as keyof typeof tableKinds]
    if (table === undefined) return c.json(view(service, version, await add(made), []))
    const taken = (await services.parts(service, version)).some(sameAs(kind, made.name))
    // Refused below, before a table is made for nothing.
    if (taken || services.version(service, version).locked) return c.json(await add(made))
    const id = await services.createTable(service, table)
    return c.json(partView(service, version, await add({ ...made, fields: { ...made.fields, id } })))
  })

  routes.get(`${path}/:name`, async (c) => {
    const { service, version } = addressed(c)
    const parts = await services.parts(service, version)
    return c.json(view(service, version, find(parts, kind, nameOf(c)), parts))
  })

  routes.put(`${path}/:name`, async (c) => {
    const { service, version } = addressed(c)
    const form = sealed(kind, await readForm(c, limits.fastlyApiBodyBytes), services)
    const changed = await services.editParts(service, version, (parts) => {
      const before = find(parts, kind, nameOf(c))
      const name = form.name ?? before.name
      if (name !== before.name && parts.some(sameAs(kind, name))) throw duplicate(kind, name)
      const fields = { ...before.fields, ...changedFields(kind, form) }
      const after = { ...before, name, fields, modifiedAt: clock() }
      check(service, after)
      const others = followMembers(parts, kind.path, before.name, name)
      return { ...replaced(others, before, after), result: { part: after, parts: others } }
    })
    return c.json(view(service, version, changed.part, changed.parts))
  })

  routes.delete(`${path}/:name`, async (c) => {
    const { service, version } = addressed(c)
    await services.editParts(service, version, (parts) => {
      const found = find(parts, kind, nameOf(c))
      const rest = parts.filter((part) => part !== found)
      return { parts: followMembers(rest, kind.path, found.name, undefined), result: undefined }
    })
    return c.json({ status: 'ok' })
  })
}

function newPart(kind: PartKind, form: Readonly<Record<string, string>>, now: number): ServicePart {
  const { name } = form
  if (name === undefined || name === '' || name.length > 255) throw badRequest(`A ${kind.label} needs a name.`)
  const part = { kind: kind.path, name, createdAt: now, modifiedAt: now, fields: { ...newFields(kind, form) } }
  return part
}

/** Throws a `FastlyError` or `Refusal` that names the part, or the shield, and what is wrong with it. */
function checked(part: ServicePart, within: Within | undefined, places: readonly Place[]): ServicePart {
  checkPart(part)
  if (part.kind === 'backend') checkShield(textOf(part, 'shield'), within, places)
  return part
}

/** Private keys are sealed before anything is kept, drafts included. Throws a `FastlyError` for what is no key. */
function sealed(kind: PartKind, form: Form, { sealKey }: FastlyApiDeps['control']['services']): Form {
  const secret = Object.entries(kind.fields).filter(
    ([name, field]) => field.sealed === true && (form[name] ?? '') !== '',
  )
  if (secret.length === 0) return form
  return { ...form, ...Object.fromEntries(secret.map(([name]) => [name, sealKey(form[name]!)])) }
}

function replaced(parts: Parts, before: ServicePart, after: ServicePart) {
  return { parts: parts.map((part) => (sameAs(before, before.name)(part) ? after : part)), result: after }
}

const nameOf = (c: Context): string => (c.req.param() as { name?: string }).name ?? ''

const sameAs = (kind: PartKind | ServicePart, name: string) => (part: ServicePart) =>
  part.kind === ('path' in kind ? kind.path : kind.kind) && part.name === name

function find(parts: Parts, kind: PartKind, name: string): ServicePart {
  const found = parts.find(sameAs(kind, name))
  if (found === undefined) throw notFound(`There is no ${kind.label} '${name.slice(0, 100)}' in this version.`)
  return found
}

function duplicate(kind: PartKind, name: string): FastlyError {
  return new FastlyError(409, 'Duplicate record', `Duplicate ${kind.label}: '${name}'.`)
}

/** Nothing of the kind is there, so lists are empty; making one is refused by name. */
function addRefused(routes: Hono, path: string, what: string, { control }: FastlyApiDeps): void {
  for (const place of [`${base}/${path}`, `${base}/${path}/*`]) {
    routes.get(place, (c) => {
      const { service, version } = addressed(c)
      control.services.version(service, version)
      return c.json([])
    })
    routes.all(place, () => {
      throw unsupported(what)
    })
  }
}
