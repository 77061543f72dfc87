/** `fastly_http_req`: requests as programs build, read and send them. */
import type { HostcallModule } from '../hostcall.ts'
import { GuestRequest } from '../messages.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'
import { waitingFacts } from './downstream-facts.ts'
import { downstream } from './downstream-request.ts'
import { registerDynamicBackend } from './dynamic-backend.ts'
import { messageCalls } from './fields-calls.ts'
import { handOverCalls, handOverWaits } from './hand-over.ts'
import { olderDownstreamCalls } from './http-downstream.ts'
import { requestSettings } from './request-settings.ts'
import { sendCalls, sendWaits } from './send-calls.ts'

const requestOf = (sandbox: Sandbox, handle: number) => sandbox.handles.get(handle, GuestRequest)

/** Token of RFC 9110 §5.6.2; there are 77 characters that may stand in one. */
const method = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/

export const httpReq: HostcallModule = {
  name: 'fastly_http_req',
  waits: new Set([...sendWaits, ...handOverWaits, ...waitingFacts, 'register_dynamic_backend']),
  calls: {
    ...sendCalls,
    ...requestSettings,
    ...olderDownstreamCalls,
    ...handOverCalls,
    register_dynamic_backend: registerDynamicBackend,
    ...messageCalls(GuestRequest),
    body_downstream_get(sandbox, requestOut: number, bodyOut: number) {
      const { request, body } = downstream(sandbox)
      sandbox.memory.u32(requestOut, request)
      sandbox.memory.u32(bodyOut, body)
    },
    method_get(sandbox, handle: number, buffer: number, capacity: number, written: number) {
      sandbox.memory.give(requestOf(sandbox, handle).method, buffer, capacity, written)
    },
    method_set(sandbox, handle: number, pointer: number, length: number) {
      const name = sandbox.memory.latin1(pointer, length)
      if (!method.test(name)) refuse(status.httpInvalid, 'not a method')
      requestOf(sandbox, handle).method = name
    },
    uri_get(sandbox, handle: number, buffer: number, capacity: number, written: number) {
      sandbox.memory.give(requestOf(sandbox, handle).uri, buffer, capacity, written)
    },
    uri_set(sandbox, handle: number, pointer: number, length: number) {
      if (length >>> 0 > sandbox.limits.urlBytes) refuse(status.invalidArgument, 'the URL is too long')
      const uri = sandbox.memory.text(pointer, length)
      if (!URL.canParse(uri) && !uri.startsWith('/')) refuse(status.httpInvalid, 'not a URL')
      requestOf(sandbox, handle).uri = uri
    },
  },
}
