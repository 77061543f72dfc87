/** What is in the versions of services: one document each, read when asked for. */
import type { Limits } from '#/core/limits.ts'
import type { Fabric } from '#/core/ports.ts'
import { Refusal } from '../refusal.ts'
import { serviceBuckets } from './held-services.ts'
import { decodeService, encodeService, type ServicePart } from './service-records.ts'

export interface ServiceVersions {
  parts(service: string, number: number): Promise<readonly ServicePart[]>
  /** The caller holds the service. Throws a `Refusal` (`too_many`). */
  put(service: string, number: number, parts: readonly ServicePart[]): Promise<void>
  drop(service: string, versions: readonly { readonly number: number }[]): Promise<void>
}

export function createServiceVersions({
  fabric,
  limits,
}: {
  readonly fabric: Pick<Fabric, 'bucket'>
  readonly limits: Limits
}): ServiceVersions {
  const { versions: bucket } = serviceBuckets(fabric)
  const keyOf = (service: string, number: number) => `${service}/${number}`
  return {
    async parts(service, number) {
      const entry = await bucket.get(keyOf(service, number))
      return entry === undefined ? [] : decodeService('version', entry.value).parts
    },
    async put(service, number, parts) {
      if (parts.length > limits.serviceParts)
        throw new Refusal('too_many', `A version has at most ${limits.serviceParts} parts.`)
      const value = encodeService({ parts: [...parts] })
      if (value.length > limits.serviceVersionBytes)
        throw new Refusal('too_many', `A version is at most ${limits.serviceVersionBytes} bytes in all.`)
      await bucket.put(keyOf(service, number), value)
    },
    async drop(service, versions) {
      for (const { number } of versions) await bucket.delete(keyOf(service, number))
    },
  }
}
