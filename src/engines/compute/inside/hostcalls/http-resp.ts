/** `fastly_http_resp`: answers, of backends and to the client. */
import { asHead } from '../../protocol.ts'
import { GuestBody, StreamingBody } from '../bodies.ts'
import type { HostcallModule } from '../hostcall.ts'
import { GuestResponse } from '../messages.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'
import { fieldCalls } from './fields-calls.ts'

const responseOf = (sandbox: Sandbox, handle: number) => sandbox.handles.get(handle, GuestResponse)

export const httpResp: HostcallModule = {
  name: 'fastly_http_resp',
  calls: {
    ...fieldCalls((sandbox, handle) => responseOf(sandbox, handle).headers),
    new(sandbox, out: number) {
      sandbox.memory.u32(out, sandbox.handles.add(new GuestResponse()))
    },
    close(sandbox, handle: number) {
      sandbox.handles.take(handle, GuestResponse)
    },
    status_get(sandbox, handle: number, out: number) {
      sandbox.memory.u16(out, responseOf(sandbox, handle).status)
    },
    status_set(sandbox, handle: number, code: number) {
      if (code < 100 || code > 999) refuse(status.httpInvalidStatus)
      responseOf(sandbox, handle).status = code
    },
    version_get(sandbox, handle: number, out: number) {
      sandbox.memory.u32(out, responseOf(sandbox, handle).version)
    },
    version_set(sandbox, handle: number, version: number) {
      if (version < 0 || version > 4) refuse(status.invalidArgument)
      responseOf(sandbox, handle).version = version
    },
    send_downstream(sandbox, responseHandle: number, bodyHandle: number, streaming: number) {
      const response = sandbox.handles.get(responseHandle, GuestResponse)
      const body = sandbox.handles.get(bodyHandle, GuestBody)
      if (response.status >= 100 && response.status < 200) return sendInterim(sandbox, response)
      if (sandbox.answered) refuse(status.error, 'an answer was sent already')
      sandbox.answered = true
      sandbox.handles.take(responseHandle, GuestResponse)
      const head = { status: response.status, headers: response.headers.list, start: sandbox.start }
      const whole = streaming === 1 ? undefined : body.whole()
      if (whole !== undefined) {
        sandbox.handles.take(bodyHandle, GuestBody)
        return sandbox.answer(head, whole)
      }
      sandbox.call.reply({ head: asHead(head), body: 'stream' })
      const { out } = sandbox.call
      const sent = body.pumpTo(out, streaming !== 1)
      if (streaming !== 1) {
        sandbox.handles.take(bodyHandle, GuestBody)
        sandbox.lasts(sent)
        return
      }
      const stream = new StreamingBody(out)
      stream.after(() => sent)
      sandbox.handles.replace(bodyHandle, stream)
    },
  },
}

/** 103 passes; the answer itself is still to come. */
function sendInterim(sandbox: Sandbox, response: GuestResponse): void {
  if (response.status !== 103) refuse(status.httpInvalidStatus, 'of the interim answers only 103 may be sent')
  if (sandbox.answered) refuse(status.error, 'an answer was sent already')
  sandbox.call.note(asHead({ status: response.status, headers: response.headers.list }))
}
