/**
 * Directors: backends that answer as one. Membership is a part of a version of its own.
 * https://www.fastly.com/documentation/reference/api/load-balancing/directors/
 */
import { Hono } from 'hono'
import type { ServicePart } from '#/control/services/service-records.ts'
import type { FastlyApiDeps } from './deps.ts'
import { badRequest, FastlyError, notFound } from './errors.ts'
import { addressed } from './versions.ts'
import { partView } from './views.ts'

type Parts = readonly ServicePart[]

const memberKind = 'director_backend'

/** Names of its backends, in the order in which they came. */
export function membersOf(parts: Parts, director: string): string[] {
  return parts
    .filter(({ kind, fields }) => kind === memberKind && fields.director === director)
    .map(({ fields }) => String(fields.backend))
}

/** Memberships follow a director or backend that is renamed, and end with one that is removed. */
export function followMembers(parts: Parts, kind: string, before: string, after: string | undefined): Parts {
  const field = kind === 'director' ? 'director' : 'backend'
  if (kind !== field) return parts
  return parts.flatMap((part) => {
    if (part.kind !== memberKind || part.fields[field] !== before) return [part]
    if (after === undefined) return []
    const fields = { ...part.fields, [field]: after }
    return [{ ...part, name: nameOf(String(fields.director), String(fields.backend)), fields }]
  })
}

/** Neither name can hold a line break: they come from a path. */
const nameOf = (director: string, backend: string) => `${director}\n${backend}`

export function directorRoutes({ control: { services }, clock }: FastlyApiDeps): Hono {
  const routes = new Hono()
  const path = '/service/:service/version/:version/director/:director/backend/:backend'
  const view = (service: string, version: number, part: ServicePart) => {
    const { name: _, ...rest } = partView(service, version, part) as { name: string }
    return rest
  }

  routes.get(path, async (c) => {
    const { service, version } = addressed(c)
    const { director, backend } = c.req.param()
    return c.json(view(service, version, find(await services.parts(service, version), director, backend)))
  })
  routes.post(path, async (c) => {
    const { service, version } = addressed(c)
    const { director, backend } = c.req.param()
    const now = clock()
    const part: ServicePart = {
      ...{ kind: memberKind, name: nameOf(director, backend), createdAt: now, modifiedAt: now },
      fields: { director, backend },
    }
    const made = await services.editParts(service, version, (parts) => {
      need(parts, 'director', director)
      need(parts, 'backend', backend)
      const others = parts.find(({ kind, fields }) => kind === memberKind && fields.backend === backend)
      if (others?.fields.director === director)
        throw new FastlyError(409, 'Duplicate record', `Backend '${backend}' is in director '${director}' already.`)
      if (others !== undefined)
        throw badRequest(`Backend '${backend}' is in director '${others.fields.director}'; it can be in one only.`)
      return { parts: [...parts, part], result: part }
    })
    return c.json(view(service, version, made))
  })
  routes.delete(path, async (c) => {
    const { service, version } = addressed(c)
    const { director, backend } = c.req.param()
    await services.editParts(service, version, (parts) => {
      const gone = find(parts, director, backend)
      return { parts: parts.filter((part) => part !== gone), result: undefined }
    })
    return c.json({ status: 'ok' })
  })
  return routes
}

function need(parts: Parts, kind: string, name: string): void {
  if (!parts.some((part) => part.kind === kind && part.name === name))
    throw notFound(`There is no ${kind} '${name.slice(0, 100)}' in this version.`)
}

function find(parts: Parts, director: string, backend: string): ServicePart {
  const name = nameOf(director, backend)
  const found = parts.find((part) => part.kind === memberKind && part.name === name)
  if (found === undefined)
    throw notFound(`Backend '${backend.slice(0, 100)}' is not in director '${director.slice(0, 100)}'.`)
  return found
}
