/** Settings of a version: one set, there from the start. https://www.fastly.com/documentation/reference/api/vcl-services/settings/ */
import { Hono } from 'hono'
import type { ServicePart } from '#/control/services/service-records.ts'
import type { FastlyApiDeps } from './deps.ts'
import { settings } from './part-kinds.ts'
import { changedFields, newFields } from './read-fields.ts'
import { readForm } from './read-form.ts'
import { addressed } from './versions.ts'

const path = '/service/:service/version/:version/settings'

export function settingsRoutes({ control: { services }, limits, clock }: FastlyApiDeps): Hono {
  const routes = new Hono()
  const view = (service: string, version: number, part: ServicePart | undefined) => ({
    ...(part?.fields ?? newFields(settings, {})),
    service_id: service,
    version,
  })
  const find = (parts: readonly ServicePart[]) => parts.find(({ kind }) => kind === settings.path)

  routes.get(path, async (c) => {
    const { service, version } = addressed(c)
    return c.json(view(service, version, find(await services.parts(service, version))))
  })
  routes.put(path, async (c) => {
    const { service, version } = addressed(c)
    const form = await readForm(c, limits.fastlyApiBodyBytes)
    const changed = await services.editParts(service, version, (parts) => {
      const before = find(parts)
      const fields = { ...(before?.fields ?? newFields(settings, {})), ...changedFields(settings, form) }
      const now = clock()
      const after = { kind: settings.path, name: '', createdAt: before?.createdAt ?? now, modifiedAt: now, fields }
      return { parts: [...parts.filter((part) => part !== before), after], result: after }
    })
    return c.json(view(service, version, changed))
  })
  return routes
}
