/**
 * The parts of an expression of the rules language (Cloudflare's: https://developers.cloudflare.com/ruleset-engine/rules-language/),
 * read and typed. Texts are bytes, written as Latin-1, as header fields and URLs are here.
 */
import type { Pattern } from '../pattern.ts'
import type { FieldName } from './fields.ts'

export type Type = 'Bool' | 'Int' | 'Bytes' | 'Ip' | 'Array<Bool>' | 'Array<Int>' | 'Array<Bytes>' | 'Map<Array<Bytes>>'

/** Something that has a value; `each`: of the members of an array, one by one (`[*]`), and `type` is a member's. */
export interface Operand {
  readonly type: Type
  readonly each: boolean
  readonly is: OperandKind
}

export type OperandKind =
  | { readonly kind: 'field'; readonly name: FieldName }
  | { readonly kind: 'item'; readonly of: Operand; readonly at: string | number }
  | { readonly kind: 'each'; readonly of: Operand }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'number'; readonly number: number }
  | { readonly kind: 'call'; readonly name: string; readonly given: readonly Operand[] }
  /** A comparison of each member, for `any()` and `all()`. */
  | { readonly kind: 'tests'; readonly of: Expression }

export type Ordering = 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge'

export interface NumberRange {
  readonly from: number
  readonly to: number
}

/** Addresses as text; a network has `prefix`, a span of addresses `to`. */
export interface AddressRange {
  readonly from: string
  readonly prefix?: number
  readonly to?: string
}

export type Comparison =
  | { readonly kind: 'order'; readonly is: Ordering; readonly with: string | number }
  | { readonly kind: 'address'; readonly is: 'eq' | 'ne'; readonly with: string }
  | { readonly kind: 'contains'; readonly text: string }
  | { readonly kind: 'matches'; readonly pattern: Pattern }
  | { readonly kind: 'wildcard'; readonly pieces: readonly string[]; readonly strict: boolean }
  | { readonly kind: 'texts'; readonly texts: ReadonlySet<string> }
  | { readonly kind: 'numbers'; readonly ranges: readonly NumberRange[] }
  | { readonly kind: 'addresses'; readonly ranges: readonly AddressRange[] }

export type Expression =
  | { readonly kind: 'or' | 'xor' | 'and'; readonly of: readonly Expression[] }
  | { readonly kind: 'not'; readonly of: Expression }
  | { readonly kind: 'constant'; readonly value: boolean }
  | { readonly kind: 'holds'; readonly of: Operand }
  | { readonly kind: 'compare'; readonly left: Operand; readonly how: Comparison }
