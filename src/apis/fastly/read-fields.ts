/** A form as the fields of a part. */
import { badRequest, unsupported } from './errors.ts'
import type { Field, FieldValue, PartKind } from './part-kinds.ts'
import type { Form } from './read-form.ts'

export type Fields = Readonly<Record<string, FieldValue>>

/** The fields of a new part: what the form says, else what Fastly takes. */
export function newFields(kind: PartKind, form: Form): Fields {
  const given = changedFields(kind, form)
  const all = Object.entries(kind.fields).map(([name, { otherwise }]) => [name, given[name] ?? otherwise] as const)
  return Object.fromEntries(all)
}

/** Only the fields that the form names. Throws a `FastlyError` for one that is unknown, unfit or not supported. */
export function changedFields(kind: PartKind, form: Form): Fields {
  const fields: Record<string, FieldValue> = {}
  for (const [name, text] of Object.entries(form)) {
    if (ignored(name)) continue
    const field = kind.fields[name]
    if (field === undefined) throw unsupported(`The field '${name.slice(0, 60)}' of a ${kind.label} is`)
    if (name === 'id') throw badRequest(`The id of a ${kind.label} is given, not chosen.`)
    const value = readValue(name, field, text)
    if (field.only !== undefined && !field.only.includes(plain(value)))
      throw unsupported(`The ${kind.label}'s ${name}${/key|cert/.test(name) ? '' : ` '${text.slice(0, 60)}'`} is`)
    fields[name] = value
  }
  return fields
}

/** `name` is read by the caller; the CLI's forms also hold names of its own fields (`ServiceID`), which say nothing. */
const ignored = (name: string) => name === 'name' || /^[A-Z]/.test(name) || ['service_id', 'version'].includes(name)

function readValue(name: string, { type }: Field, text: string): FieldValue {
  if (type === 'text') return text
  if (text === '') return null
  if (type === 'flag') {
    if (['1', 'true'].includes(text)) return true
    if (['0', 'false'].includes(text)) return false
    throw badRequest(`${name} is 0 or 1, not '${text.slice(0, 40)}'.`)
  }
  if (!/^\d{1,12}$/.test(text)) throw badRequest(`${name} is a number, not '${text.slice(0, 40)}'.`)
  return Number(text)
}

const plain = (value: FieldValue): string =>
  value === null ? '' : value === true ? '1' : value === false ? '0' : String(value)
