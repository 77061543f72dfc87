/** Services, versions and their parts as Fastly shows them. */
import type { ServicePart, ServiceRecord, ServiceVersionHead } from '#/control/services/service-records.ts'
import type { EpochMs } from '#/core/units.ts'

export const timeView = (time: EpochMs): string => new Date(time).toISOString().replace(/\.\d+Z$/, 'Z')

export function versionView(service: ServiceRecord, head: ServiceVersionHead): object {
  const active = service.active === head.number
  const staging = service.staged?.version === head.number
  return {
    number: head.number,
    service_id: service.id,
    comment: head.comment,
    active,
    locked: head.locked,
    deployed: false,
    staging,
    testing: false,
    environments: staging ? [{ id: 'staging', name: 'staging', active_version: head.number }] : [],
    created_at: timeView(head.createdAt),
    updated_at: timeView(head.modifiedAt),
    deleted_at: null,
  }
}

export function serviceView(service: ServiceRecord, accountId: string): object {
  return {
    id: service.id,
    name: service.name,
    type: service.kind === 'compute' ? 'wasm' : 'vcl',
    comment: service.comment,
    customer_id: accountId,
    paused: false,
    version: service.active ?? service.versions.at(-1)?.number ?? 1,
    versions: service.versions.map((head) => versionView(service, head)),
    created_at: timeView(service.createdAt),
    updated_at: timeView(service.modifiedAt),
    deleted_at: null,
  }
}

export function detailsView(service: ServiceRecord, accountId: string): object {
  const active = service.versions.find(({ number }) => number === service.active)
  const latest = active ?? service.versions.at(-1)
  return {
    ...serviceView(service, accountId),
    active_version: active === undefined ? null : versionView(service, active),
    version: latest === undefined ? null : versionView(service, latest),
  }
}

/** Keys are never shown; that there is one is. */
const hidden = ['ssl_client_key']

export function partView(service: string, version: number, part: ServicePart, more: object = {}): object {
  const fields = { ...part.fields }
  for (const name of hidden) if ((fields[name] ?? '') !== '') fields[name] = '(sealed)'
  return {
    ...fields,
    ...more,
    name: part.name,
    service_id: service,
    version,
    created_at: timeView(part.createdAt),
    updated_at: timeView(part.modifiedAt),
    deleted_at: null,
  }
}
