/** Reading fields of parts; the empty text is none. */
import type { ServicePart } from '#/control/services/service-records.ts'

export function textOf(part: ServicePart, field: string): string | undefined {
  const value = part.fields[field]
  return value === undefined || value === null || value === '' ? undefined : String(value)
}

export function numberOf(part: ServicePart, field: string): number | undefined {
  const value = part.fields[field]
  return typeof value === 'number' ? value : undefined
}

export function flagOf(part: ServicePart, field: string): boolean {
  return part.fields[field] === true
}

/** All of them hold. */
export function every(...conditions: (string | undefined)[]): { readonly when?: string } {
  const given = conditions.filter((one) => one !== undefined)
  if (given.length === 0) return {}
  return { when: given.length === 1 ? given[0]! : given.map((one) => `(${one})`).join(' && ') }
}
