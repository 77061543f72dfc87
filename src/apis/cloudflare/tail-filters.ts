/**
 * Filters of a tail, applied before anything is sent; all of them must let a trace through.
 * Source: developers.cloudflare.com/api/resources/workers/subresources/scripts/subresources/tail.
 */
import { z } from 'zod'
import type { Trace } from '#/core/traces.ts'
import { VendorError } from './envelope.ts'

const texts = z.array(z.string().max(256)).max(100)

const filter = z.union([
  z.strictObject({ sampling_rate: z.number().min(0).max(1) }),
  z.strictObject({ outcome: texts }),
  z.strictObject({ method: texts }),
  z.strictObject({
    header: z.strictObject({ key: z.string().min(1).max(256), query: z.string().max(4096).optional() }),
  }),
  z.strictObject({ client_ip: texts }),
  z.strictObject({ query: z.string().max(4096) }),
  z.strictObject({ scriptVersion: z.string().max(256) }),
])

export type TailFilter = z.infer<typeof filter>

const request = z.strictObject({ filters: z.array(z.unknown()).max(50).optional() })

/** Reads the body of a tail's creation; throws a `VendorError` that names the filter. */
export function parseTailFilters(body: unknown): readonly TailFilter[] {
  const parsed = request.safeParse(body ?? {})
  if (!parsed.success) throw new VendorError(400, 10001, `The tail cannot be read: ${z.prettifyError(parsed.error)}`)
  return (parsed.data.filters ?? []).map((item) => {
    const known = filter.safeParse(item)
    if (known.success) return known.data
    throw new VendorError(400, 10001, `This filter is not supported: ${JSON.stringify(item)?.slice(0, 200)}.`)
  })
}

interface RequestEvent {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

function requestOf({ event }: Trace): RequestEvent | undefined {
  return (event as { request?: RequestEvent } | null)?.request
}

function headerOf(trace: Trace, name: string): string | undefined {
  const wanted = name.toLowerCase()
  const found = Object.entries(requestOf(trace)?.headers ?? {}).find(([key]) => key.toLowerCase() === wanted)
  return found?.[1]
}

function holdsText(trace: Trace, text: string): boolean {
  const logged = trace.logs.some(({ message }) => {
    const parts = Array.isArray(message) ? message : [message]
    return parts.some((part) => (typeof part === 'string' ? part : (JSON.stringify(part) ?? '')).includes(text))
  })
  return logged || trace.exceptions.some(({ message }) => message.includes(text))
}

export interface TailView {
  /** Address of who watches, for `client_ip: ["self"]`. */
  readonly self: string
  /** From 0 to 1, for `sampling_rate`. */
  readonly random: () => number
}

function lets(item: TailFilter, trace: Trace, { self, random }: TailView): boolean {
  if ('sampling_rate' in item) return random() < item.sampling_rate
  if ('outcome' in item) return item.outcome.includes(trace.outcome)
  if ('method' in item) {
    const method = requestOf(trace)?.method?.toUpperCase()
    return item.method.some((wanted) => wanted.toUpperCase() === method)
  }
  if ('header' in item) {
    const value = headerOf(trace, item.header.key)
    return value?.includes(item.header.query ?? '') === true
  }
  if ('client_ip' in item) {
    const address = headerOf(trace, 'cf-connecting-ip')
    return item.client_ip.some((wanted) => (wanted === 'self' ? self : wanted) === address)
  }
  if ('query' in item) return holdsText(trace, item.query)
  return trace.scriptVersion?.id === item.scriptVersion
}

/** Does this trace go to the viewer? */
export function passesFilters(filters: readonly TailFilter[], trace: Trace, view: TailView): boolean {
  return filters.every((item) => lets(item, trace, view))
}
