/**
 * Cap'n Proto text, as `workerd serve` reads its configuration: values of JavaScript written as literals.
 * Syntax: capnproto.org/language.html; the schema is workerd's `src/workerd/server/workerd.capnp`.
 */

/** A file beside the configuration whose bytes become the value (`embed "NAME"`). */
export interface Embed {
  readonly embed: string
}

/** A value of an enum: written without quotes. */
export interface Enumerant {
  readonly enumerant: string
}

export type CapnpValue =
  | string
  | number
  | boolean
  /** The value of a `Void` member. */
  | null
  | Embed
  | Enumerant
  | readonly CapnpValue[]
  | { readonly [field: string]: CapnpValue | undefined }

const named: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '"': '\\"', '\\': '\\\\' }

/** A string as a Text literal. Control characters are escaped, everything else is UTF-8 as it stands. */
export function capnpString(text: string): string {
  const escaped = text.replace(
    /["\\\u0000-\u001f\u007f]/g,
    (character) => named[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
  return `"${escaped}"`
}

/** Any value as a literal; fields that are `undefined` are left out. */
export function capnpText(value: CapnpValue): string {
  if (value === null) return 'void'
  if (typeof value === 'string') return capnpString(value)
  if (typeof value !== 'object') return String(value)
  if (isList(value)) return `[${value.map(capnpText).join(',\n')}]`
  if (isEmbed(value)) return `embed ${capnpString(value.embed)}`
  if (isEnumerant(value)) return value.enumerant
  const fields = Object.entries(value).filter((field): field is [string, CapnpValue] => field[1] !== undefined)
  return `(${fields.map(([name, member]) => `${name} = ${capnpText(member)}`).join(', ')})`
}

function isList(value: object): value is readonly CapnpValue[] {
  return Array.isArray(value)
}

/** Neither `embed` nor `enumerant` is a field of workerd's schema, so they mark the two special kinds. */
function isEmbed(value: object): value is Embed {
  return 'embed' in value
}

function isEnumerant(value: object): value is Enumerant {
  return 'enumerant' in value
}
