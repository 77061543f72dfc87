/**
 * Values of programs as Workflows keep them (`engines/workerd/inside/workflow-values.worker.ts`), made of JSON and shown as
 * JSON: what people send and read through the API.
 */

interface Tagged {
  readonly $: string
  readonly v: unknown
  readonly of?: string
}

/** The kept form of something that JSON holds. */
export function encodeJson(value: unknown): string {
  return JSON.stringify(escapeTags(value))
}

function escapeTags(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(escapeTags)
  const entries = Object.entries(value).map(([name, item]) => [name, escapeTags(item)] as const)
  return Object.hasOwn(value, '$') || Object.hasOwn(value, '__proto__')
    ? { $: 'object', v: entries }
    : Object.fromEntries(entries)
}

/** What JSON shows of a kept value: bytes as their number, what occurs again as `[Circular]`. */
export function showValue(kept: string): unknown {
  return show(JSON.parse(kept))
}

function show(held: unknown): unknown {
  if (typeof held !== 'object' || held === null) return held
  if (Array.isArray(held)) return held.map(show)
  if (!Object.hasOwn(held, '$'))
    return Object.fromEntries(Object.entries(held).map(([name, item]) => [name, show(item)]))
  const { $, v, of } = held as Tagged
  switch ($) {
    case 'undefined':
      return undefined
    case 'number':
      return v === '-0' ? 0 : null
    case 'date':
      return v === null ? null : new Date(v as number).toISOString()
    case 'def':
      return show(v)
    case 'object':
      return Object.fromEntries((v as [string, unknown][]).map(([name, item]) => [name, show(item)]))
    case 'ref':
      return '[Circular]'
    case 'map':
    case 'set':
      return (v as unknown[]).map(show)
    case 'regexp': {
      const [source, flags] = v as [string, string]
      return `/${source}/${flags}`
    }
    case 'buffer':
    case 'view':
      return `[${of ?? 'ArrayBuffer'}(${Buffer.byteLength(v as string, 'base64')} bytes)]`
  }
  return v
}
