/** What is in the versions of services: one document each, read when asked for, in the countries where the service stays. */
import { nameWithin } from '#/core/blob-names.ts'
import type { Limits } from '#/core/limits.ts'
import type { Within } from '#/core/pops.ts'
import type { Bucket, Fabric, Revision } from '#/core/ports.ts'
import type { State } from '../fold.ts'
import { keyOf as placementKey } from '../placements.ts'
import { Refusal } from '../refusal.ts'
import { serviceBuckets } from './held-services.ts'
import { decodeService, encodeService, type ServicePart } from './service-records.ts'

export interface ServiceVersions {
  parts(service: string, number: number): Promise<readonly ServicePart[]>
  /** Where versions of a service lie now; undefined: anywhere. */
  within(service: string): Within | undefined
  /** Only for who is up to date (`Ledger.upToDate`). Throws a `Refusal` (`too_many`, `conflict`). */
  add(service: string, number: number, parts: readonly ServicePart[]): Promise<void>
  /**
   * The same; what `change` throws changes nothing. What is not there is not made: who has not heard that a service moved would
   * write where it may not be any more.
   */
  edit<Result>(service: string, number: number, change: PartsChange<Result>): Promise<Result>
  drop(service: string, versions: readonly { readonly number: number }[]): Promise<void>
  /** Writes what a version shall have where the service will stay, also over what is there. */
  copy(service: string, number: number, parts: readonly ServicePart[], within: Within | undefined): Promise<void>
  /** Removes it where the service was. */
  leave(service: string, number: number, within: Within | undefined): Promise<void>
}

/** Gets the parts and returns those that there shall be. */
export type PartsChange<Result> = (parts: readonly ServicePart[]) => {
  readonly parts: readonly ServicePart[]
  readonly result: Result
}

export interface ServiceVersionsParts {
  readonly fabric: Pick<Fabric, 'bucket'>
  readonly limits: Limits
  readonly ledger: { readonly state: Pick<State, 'placements'> }
}

export function createServiceVersions({ fabric, limits, ledger }: ServiceVersionsParts): ServiceVersions {
  const keyOf = (service: string, number: number) => `${service}/${number}`
  const bucketIn = (within: Within | undefined): Bucket =>
    within === undefined
      ? serviceBuckets(fabric).versions
      : fabric.bucket(nameWithin('service-versions', within), { within })
  const withinOf = (service: string) =>
    ledger.state.placements.get(placementKey({ kind: 'service', id: service }))?.record.within
  const bucketOf = (service: string) => bucketIn(withinOf(service))

  function encode(parts: readonly ServicePart[]): Uint8Array {
    if (parts.length > limits.serviceParts)
      throw new Refusal('too_many', `A version has at most ${limits.serviceParts} parts.`)
    const value = encodeService({ parts: [...parts] })
    if (value.length > limits.serviceVersionBytes)
      throw new Refusal('too_many', `A version is at most ${limits.serviceVersionBytes} bytes in all.`)
    return value
  }

  async function put(bucket: Bucket, key: string, parts: readonly ServicePart[], expect: Revision): Promise<void> {
    const value = encode(parts)
    if ((await bucket.put(key, value, { expect })) === undefined)
      throw new Refusal('conflict', `'${key}' was changed by somebody else at the same time. Try again.`)
  }

  return {
    within: withinOf,
    async parts(service, number) {
      const entry = await bucketOf(service).get(keyOf(service, number))
      return entry === undefined ? [] : decodeService('version', entry.value).parts
    },
    add: (service, number, parts) => put(bucketOf(service), keyOf(service, number), parts, 0),
    async edit(service, number, change) {
      const bucket = bucketOf(service)
      const key = keyOf(service, number)
      const entry = await bucket.get(key)
      if (entry === undefined) throw moved(number)
      const { parts, result } = change(decodeService('version', entry.value).parts)
      await put(bucket, key, parts, entry.revision)
      return result
    },
    async drop(service, versions) {
      for (const { number } of versions) await bucketOf(service).delete(keyOf(service, number))
    },
    async copy(service, number, parts, within) {
      await bucketIn(within).put(keyOf(service, number), encode(parts))
    },
    async leave(service, number, within) {
      await bucketIn(within).delete(keyOf(service, number))
    },
  }
}

export function moved(number: number): Refusal {
  return new Refusal('conflict', `Version ${number} lies elsewhere now, which this node had not heard of. Try again.`)
}
