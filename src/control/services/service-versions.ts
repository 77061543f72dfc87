/** What is in the versions of services: one document each, read when asked for. */
import type { Limits } from '#/core/limits.ts'
import type { Fabric, Revision } from '#/core/ports.ts'
import { Refusal } from '../refusal.ts'
import { serviceBuckets } from './held-services.ts'
import { decodeService, encodeService, type ServicePart } from './service-records.ts'

export interface ServiceVersions {
  parts(service: string, number: number): Promise<readonly ServicePart[]>
  /** Throws a `Refusal` (`too_many`, `conflict`). */
  add(service: string, number: number, parts: readonly ServicePart[]): Promise<void>
  /** The same; what `change` throws changes nothing. */
  edit<Result>(service: string, number: number, change: PartsChange<Result>): Promise<Result>
  drop(service: string, versions: readonly { readonly number: number }[]): Promise<void>
}

/** Gets the parts and returns those that there shall be. */
export type PartsChange<Result> = (parts: readonly ServicePart[]) => {
  readonly parts: readonly ServicePart[]
  readonly result: Result
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

  async function put(key: string, parts: readonly ServicePart[], expect: Revision): Promise<void> {
    if (parts.length > limits.serviceParts)
      throw new Refusal('too_many', `A version has at most ${limits.serviceParts} parts.`)
    const value = encodeService({ parts: [...parts] })
    if (value.length > limits.serviceVersionBytes)
      throw new Refusal('too_many', `A version is at most ${limits.serviceVersionBytes} bytes in all.`)
    if ((await bucket.put(key, value, { expect })) === undefined)
      throw new Refusal('conflict', `'${key}' was changed by somebody else at the same time. Try again.`)
  }

  return {
    async parts(service, number) {
      const entry = await bucket.get(keyOf(service, number))
      return entry === undefined ? [] : decodeService('version', entry.value).parts
    },
    add: (service, number, parts) => put(keyOf(service, number), parts, 0),
    async edit(service, number, change) {
      const key = keyOf(service, number)
      const entry = await bucket.get(key)
      const { parts, result } = change(entry === undefined ? [] : decodeService('version', entry.value).parts)
      await put(key, parts, entry?.revision ?? 0)
      return result
    },
    async drop(service, versions) {
      for (const { number } of versions) await bucket.delete(keyOf(service, number))
    },
  }
}
