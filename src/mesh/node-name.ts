/** The place of a node as its certificate has it: a URI among the subject's alternative names (RFC 5280 §4.2.1.6). */
import type { X509Certificate } from 'node:crypto'
import type { Place } from '#/core/pops.ts'

const nodePattern = /^[a-z][a-z0-9-]{0,62}$/
const popPattern = /^[a-z][a-z0-9-]{0,30}$/
const countryPattern = /^[A-Z]{2}$/

export function isPlace(place: Place): boolean {
  return nodePattern.test(place.node) && popPattern.test(place.pop) && countryPattern.test(place.country)
}

export function uriOf({ node, pop, country }: Place): string {
  return `rimward://node/${node}/${pop}/${country}`
}

/** `undefined` for a certificate with any other name, or with more than this one: those are not ours. */
export function placeOf(certificate: X509Certificate): Place | undefined {
  const match = /^URI:rimward:\/\/node\/([a-z0-9-]+)\/([a-z0-9-]+)\/([A-Z]{2})$/.exec(certificate.subjectAltName ?? '')
  if (match === null) return undefined
  const place = { node: match[1]!, pop: match[2]!, country: match[3]! }
  return isPlace(place) ? place : undefined
}
