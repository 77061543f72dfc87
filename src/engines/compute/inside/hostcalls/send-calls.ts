/** The part of `fastly_http_req` that sends requests to backends and waits for their answers. */
import type { HeaderList } from '#/core/exchange.ts'
import type { FetchCache } from '../../fetch-protocol.ts'
import { selectItem } from '../async-item.ts'
import { GuestBody, StreamingBody } from '../bodies.ts'
import { cutTo, ExactOut, frame } from '../framing.ts'
import type { Hostcall } from '../hostcall.ts'
import { type CacheOverride, GuestRequest } from '../messages.ts'
import { giveDetail, PendingRequest, type SendOutcome, startFetch, statusOfFailure } from '../pending-request.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, type Status, status } from '../status.ts'

/** What the ABI has where there is no handle. */
export const noHandle = 0xffff_fffe

interface Sending {
  readonly request: number
  readonly body: number
  readonly backend: string
  readonly cached: boolean
  readonly later: boolean
  readonly streaming: boolean
}

/** Takes the request's handle, and the body's unless it goes on as a stream. */
function send(sandbox: Sandbox, { request: handle, body: bodyHandle, backend, ...how }: Sending): PendingRequest {
  const request = sandbox.handles.get(handle, GuestRequest)
  const body = sandbox.handles.get(bodyHandle, GuestBody)
  if (!isKnown(sandbox, backend)) refuse(status.invalidArgument, `there is no backend ${backend}`)
  if (sandbox.fetches >= sandbox.limits.fetches) refuse(status.limitExceeded, 'too many backend requests')
  const length = how.streaming ? undefined : body.length
  const { headers, exact, chunked } = frame(sandbox, request, length === 0 ? undefined : length)
  if (sizeOf(headers) > sandbox.limits.headerBytes) refuse(status.httpHeadTooLarge)
  sandbox.fetches++
  sandbox.handles.take(handle, GuestRequest)
  const whole = how.streaming || chunked ? undefined : cutTo(exact, body.whole())
  const { method, uri, cacheOverride, autoDecompress } = request
  const head = {
    ...{ backend, method, uri, headers, later: how.later, decompress: (autoDecompress & 1) !== 0 },
    ...(how.cached && { cache: cacheWords(cacheOverride) }),
  }
  const sent = whole === undefined ? 'stream' : whole.length === 0 ? null : whole
  const { pending, out } = startFetch(sandbox, head, sent)
  if (out === undefined) {
    sandbox.handles.take(bodyHandle, GuestBody)
    return pending
  }
  const way = exact === undefined ? out : new ExactOut(out, exact)
  const feeding = body.pumpTo(way, !how.streaming)
  sandbox.lasts(feeding)
  if (!how.streaming) sandbox.handles.take(bodyHandle, GuestBody)
  else {
    const stream = new StreamingBody(way)
    stream.after(() => feeding)
    sandbox.handles.replace(bodyHandle, stream)
  }
  return pending
}

function isKnown({ program, backends }: Sandbox, name: string): boolean {
  return backends.has(name) || program.facts.backends.some((one) => one.name === name)
}

function sizeOf(headers: HeaderList): number {
  let bytes = 0
  for (const text of headers) bytes += text.length + 2
  return bytes
}

const asAnswered: FetchCache = { pass: false, memoryOnly: false, surrogateKey: '' }

function cacheWords(override: CacheOverride | undefined): FetchCache {
  if (override === undefined) return asAnswered
  const { pass, ttl, staleWhileRevalidate, pci, surrogateKey } = override
  return {
    pass,
    ...(ttl !== undefined && { ttl }),
    ...(staleWhileRevalidate !== undefined && { staleWhileRevalidate }),
    memoryOnly: pci,
    surrogateKey,
  }
}

/** Handles of the answer into `where`, or the failure's status with its detail at `detail`. */
function deliver(
  sandbox: Sandbox,
  pending: PendingRequest,
  where: { readonly response: number; readonly body: number; readonly detail: number | undefined },
): Status {
  const outcome = pending.outcome!
  const failure = 'failed' in outcome ? outcome : undefined
  if (where.detail !== undefined) giveDetail(sandbox, where.detail, failure)
  if (failure !== undefined) {
    sandbox.memory.u32(where.response, noHandle)
    sandbox.memory.u32(where.body, noHandle)
    return statusOfFailure(failure)
  }
  hold(sandbox, pending, outcome as SendOutcome, where)
  return status.ok
}

function hold(
  sandbox: Sandbox,
  pending: PendingRequest,
  { response, body }: SendOutcome,
  where: { readonly response: number; readonly body: number },
): void {
  pending.apply(response.headers, 'response')
  sandbox.memory.u32(where.response, sandbox.handles.add(response))
  sandbox.memory.u32(where.body, sandbox.handles.add(body))
}

function waiting(cached: boolean, hasDetail: boolean): Hostcall {
  return (sandbox, request, body, backend, backendLength, ...rest: number[]) => {
    const [detail, response, bodyOut] = hasDetail ? (rest as [number, number, number]) : [undefined, rest[0]!, rest[1]!]
    const name = sandbox.memory.text(backend, backendLength)
    const pending = send(sandbox, { request, body, backend: name, cached, later: false, streaming: false })
    return pending.settled().then(() => deliver(sandbox, pending, { response, body: bodyOut, detail }))
  }
}

function later(sandbox: Sandbox, sending: Omit<Sending, 'later'>, out: number): void {
  sandbox.memory.u32(out, sandbox.handles.add(send(sandbox, { ...sending, later: true })))
}

function polled(hasDetail: boolean): Hostcall {
  return (sandbox, handle: number, ...rest: number[]) => {
    const detail = hasDetail ? rest.shift() : undefined
    const [done, response, body] = rest as [number, number, number]
    const pending = sandbox.handles.get(handle, PendingRequest)
    sandbox.memory.u32(done, pending.ready ? 1 : 0)
    if (pending.ready) {
      sandbox.handles.take(handle, PendingRequest)
      return deliver(sandbox, pending, { response, body, detail })
    }
    if (detail !== undefined) giveDetail(sandbox, detail, undefined)
    sandbox.memory.u32(response, noHandle)
    sandbox.memory.u32(body, noHandle)
    return status.ok
  }
}

function waited(hasDetail: boolean): Hostcall {
  return (sandbox, handle: number, ...rest: number[]) => {
    const detail = hasDetail ? rest.shift() : undefined
    const [response, body] = rest as [number, number]
    const pending = sandbox.handles.take(handle, PendingRequest)
    const where = { response, body, detail }
    return pending.ready
      ? deliver(sandbox, pending, where)
      : pending.settled().then(() => deliver(sandbox, pending, where))
  }
}

/** A failed request ends the select too: its handles are none, and the detail tells why. */
function selected(hasDetail: boolean): Hostcall {
  return (sandbox, list: number, count: number, ...rest: number[]) => {
    const detail = hasDetail ? rest.shift() : undefined
    const [done, response, body] = rest as [number, number, number]
    if (count === 0) refuse(status.invalidArgument)
    const handles = readHandles(sandbox, list, count)
    const items = handles.map((handle) => sandbox.handles.get(handle, PendingRequest))
    const finish = (index: number | undefined) => {
      if (index === undefined) return status.error
      const pending = sandbox.handles.take(handles[index]!, PendingRequest)
      sandbox.memory.u32(done, index)
      deliver(sandbox, pending, { response, body, detail })
      return status.ok
    }
    const found = selectItem(sandbox, items, 0)
    return found instanceof Promise ? found.then(finish) : finish(found)
  }
}

export function readHandles(sandbox: Sandbox, list: number, count: number): number[] {
  if (count >>> 0 > sandbox.limits.handles) refuse(status.limitExceeded)
  return Array.from({ length: count >>> 0 }, (_, index) => sandbox.memory.readU32(list + index * 4))
}

const targets = ['any', 'response', 'error'] as const

function queueChange(
  sandbox: Sandbox,
  handle: number,
  target: number,
  change: PendingRequest['changes'][0]['change'],
): void {
  const kind = targets[target] ?? refuse(status.invalidArgument)
  const { changes } = sandbox.handles.get(handle, PendingRequest)
  if (changes.length >= sandbox.limits.handles) refuse(status.limitExceeded)
  changes.push({ kind, change })
}

export const sendWaits = [
  ...['send', 'send_v2', 'send_v3'],
  ...['pending_req_wait', 'pending_req_wait_v2', 'pending_req_select', 'pending_req_select_v2'],
]

export const sendCalls: Readonly<Record<string, Hostcall>> = {
  send: waiting(true, false),
  send_v2: waiting(true, true),
  send_v3: waiting(false, true),
  send_async(sandbox, request: number, body: number, backend: number, length: number, out: number) {
    const name = sandbox.memory.text(backend, length)
    later(sandbox, { request, body, backend: name, cached: true, streaming: false }, out)
  },
  send_async_streaming(sandbox, request: number, body: number, backend: number, length: number, out: number) {
    const name = sandbox.memory.text(backend, length)
    later(sandbox, { request, body, backend: name, cached: true, streaming: true }, out)
  },
  send_async_v2(
    sandbox,
    request: number,
    body: number,
    backend: number,
    length: number,
    streaming: number,
    out: number,
  ) {
    const name = sandbox.memory.text(backend, length)
    later(sandbox, { request, body, backend: name, cached: false, streaming: streaming === 1 }, out)
  },
  pending_req_poll: polled(false),
  pending_req_poll_v2: polled(true),
  pending_req_wait: waited(false),
  pending_req_wait_v2: waited(true),
  pending_req_select: selected(false),
  pending_req_select_v2: selected(true),
  pending_req_header_insert(sandbox, handle, name, nameLength, value, valueLength, target) {
    const { memory } = sandbox
    const [field, text] = [memory.latin1(name, nameLength), memory.latin1(value, valueLength)]
    queueChange(sandbox, handle, target, (fields) => fields.set(field, [text]))
  },
  pending_req_header_append(sandbox, handle, name, nameLength, value, valueLength, target) {
    const { memory } = sandbox
    const [field, text] = [memory.latin1(name, nameLength), memory.latin1(value, valueLength)]
    queueChange(sandbox, handle, target, (fields) => fields.append(field, text))
  },
  pending_req_header_remove(sandbox, handle, name, nameLength, target) {
    const field = sandbox.memory.latin1(name, nameLength)
    queueChange(sandbox, handle, target, (fields) => fields.remove(field))
  },
}
