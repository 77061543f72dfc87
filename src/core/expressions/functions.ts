/** Functions of the rules language: https://developers.cloudflare.com/ruleset-engine/rules-language/functions/ */
import type { Type } from './syntax.ts'

/** What an operand has at a request: a text, a number, a flag, an array of them, a map; undefined: nothing. */
export type ExpressionValue =
  | string
  | number
  | boolean
  | readonly ExpressionValue[]
  | ReadonlyMap<string, readonly string[]>
  | undefined

export interface ExpressionFunction {
  readonly takes: readonly (readonly Type[])[]
  /** The last one may be given as often as wanted. */
  readonly many?: true
  /** Its first argument may be `[*]`; the function is then asked for each member. */
  readonly each?: true
  readonly gives: Type
  readonly call: (given: readonly ExpressionValue[]) => ExpressionValue
}

const bytes: readonly Type[] = ['Bytes']
const text = (value: ExpressionValue) => value as string

/** Letters of ASCII alone: the rest are bytes. */
export function lowerCase(value: string): string {
  return /[A-Z]/.test(value) ? value.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : value
}

const flags = (value: ExpressionValue) => value as readonly boolean[]

export const functions: Readonly<Record<string, ExpressionFunction>> = {
  lower: { takes: [bytes], each: true, gives: 'Bytes', call: ([one]) => lowerCase(text(one)) },
  upper: {
    takes: [bytes],
    each: true,
    gives: 'Bytes',
    call: ([one]) => text(one).replace(/[a-z]+/g, (letters) => letters.toUpperCase()),
  },
  len: {
    takes: [['Bytes', 'Array<Bytes>', 'Map<Array<Bytes>>']],
    each: true,
    gives: 'Int',
    call: ([one]) => (one instanceof Map ? one.size : (one as string | readonly string[]).length),
  },
  starts_with: {
    takes: [bytes, bytes],
    each: true,
    gives: 'Bool',
    call: ([one, start]) => text(one).startsWith(text(start)),
  },
  ends_with: { takes: [bytes, bytes], each: true, gives: 'Bool', call: ([one, end]) => text(one).endsWith(text(end)) },
  concat: { takes: [bytes, bytes], many: true, each: true, gives: 'Bytes', call: (given) => given.join('') },
  any: { takes: [['Array<Bool>']], gives: 'Bool', call: ([one]) => flags(one).includes(true) },
  all: { takes: [['Array<Bool>']], gives: 'Bool', call: ([one]) => flags(one).every(Boolean) },
  has_key: {
    takes: [['Map<Array<Bytes>>'], bytes],
    gives: 'Bool',
    call: ([map, key]) => (map as ReadonlyMap<string, unknown>).has(text(key)),
  },
  has_value: {
    takes: [['Array<Bytes>'], bytes],
    gives: 'Bool',
    call: ([array, value]) => (array as readonly string[]).includes(text(value)),
  },
}
