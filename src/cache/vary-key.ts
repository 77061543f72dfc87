/** Secondary cache keys (RFC 9111 §4.1): what the fields named by `Vary` said, in one spelling. */
import type { HeaderList } from '#/core/exchange.ts'
import { headerValues } from '#/http/header-list.ts'

/** Names in `Vary`, lower case, sorted, once each; `'*'` when nothing but the origin can select. */
export function varyNames(headers: HeaderList): readonly string[] | '*' {
  const field = headerValues(headers, 'vary')
  if (field === undefined) return none
  const names = new Set<string>()
  for (const part of field.split(',')) {
    const name = part.trim().toLowerCase()
    if (name === '*') return '*'
    if (name !== '') names.add(name)
  }
  return names.size === 0 ? none : [...names].sort()
}

const none: readonly string[] = []

/** What a request says in these fields; equal texts select the same answer. A missing field is not an empty one. */
export function selection(names: readonly string[], headers: HeaderList): string {
  if (names.length === 0) return ''
  let text = ''
  for (const name of names) {
    const value = headerValues(headers, name)
    text += value === undefined ? '-\n' : `:${normalised(name, value)}\n`
  }
  return text
}

function normalised(name: string, value: string): string {
  if (name === 'accept-encoding') return normalEncodings(value)
  if (name === 'accept-language') return normalLanguages(value)
  // §4.1: whitespace that the field's syntax allows; a list's members stay in their order.
  return value
    .split(',')
    .map((part) => part.trim())
    .join(',')
}

const encodings = ['br', 'gzip', 'zstd']

/**
 * The codings among br, gzip and zstd that a client takes, in that order: all spellings of `Accept-Encoding` become at
 * most eight. The same text goes to the origin, so that it decides by what the key says.
 */
export function normalEncodings(field: string): string {
  let normal = knownEncodings.get(field)
  if (normal === undefined) {
    normal = readEncodings(field)
    if (knownEncodings.size >= encodingsKept) knownEncodings.clear()
    if (field.length <= longestKept) knownEncodings.set(field, normal)
  }
  return normal
}

/** Clients have a few dozen spellings between them; whoever sends others makes room for the usual ones to come back. */
const knownEncodings = new Map<string, string>()
const encodingsKept = 256
const longestKept = 128

function readEncodings(field: string): string {
  const weights = new Map<string, number>()
  for (const { name, weight } of weighted(field)) weights.set(name === 'x-gzip' ? 'gzip' : name, weight)
  const any = weights.get('*') ?? 0
  return encodings.filter((coding) => (weights.get(coding) ?? any) > 0).join(', ')
}

/** Languages by falling preference, equal ones by name (RFC 9110 §12.5.4: order in the field means nothing). */
function normalLanguages(field: string): string {
  const languages = weighted(field).filter(({ weight }) => weight > 0)
  languages.sort((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1))
  return languages.map(({ name, weight }) => (weight === 1 ? name : `${name};q=${weight}`)).join(',')
}

/** The one language a client wants most; undefined where it names none, or several alike. */
export function favouriteLanguage(field: string | undefined): string | undefined {
  if (field === undefined) return undefined
  const languages = weighted(field).sort((a, b) => b.weight - a.weight)
  const [first, second] = languages
  if (first === undefined || first.name === '*' || first.weight === 0) return undefined
  return second !== undefined && second.weight === first.weight ? undefined : first.name
}

function weighted(field: string): { readonly name: string; readonly weight: number }[] {
  const members: { name: string; weight: number }[] = []
  for (const part of field.split(',')) {
    const [name, ...parameters] = part.split(';')
    const quality = parameters.map((parameter) => /^\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*$/i.exec(parameter)?.[1])
    const weight = Math.min(Number(quality.find((value) => value !== undefined) ?? 1), 1)
    if (name!.trim() !== '') members.push({ name: name!.trim().toLowerCase(), weight })
  }
  return members
}
