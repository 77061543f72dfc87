/** `fastly_http_resp`: answers, of backends and to the client. */
import { type AnswerHead, asHead } from '../../protocol.ts'
import { packAnswer } from '../../request-heads.ts'
import { GuestBody, StreamingBody } from '../bodies.ts'
import { cutTo, ExactOut, frame } from '../framing.ts'
import type { HostcallModule } from '../hostcall.ts'
import { announcedLength, Fields, GuestResponse } from '../messages.ts'
import { PendingRequest } from '../pending-request.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'
import { giveAddress } from './downstream-facts.ts'
import { messageCalls } from './fields-calls.ts'

const responseOf = (sandbox: Sandbox, handle: number) => sandbox.handles.get(handle, GuestResponse)

export const httpResp: HostcallModule = {
  name: 'fastly_http_resp',
  calls: {
    ...messageCalls(GuestResponse),
    status_get(sandbox, handle: number, out: number) {
      sandbox.memory.u16(out, responseOf(sandbox, handle).status)
    },
    status_set(sandbox, handle: number, code: number) {
      if (code < 100 || code > 999) refuse(status.httpInvalidStatus)
      responseOf(sandbox, handle).status = code
    },
    framing_headers_mode_set(sandbox, handle: number, mode: number) {
      if (mode !== 0 && mode !== 1) refuse(status.invalidArgument)
      responseOf(sandbox, handle).framing = mode
    },
    http_keepalive_mode_set(sandbox, handle: number, mode: number) {
      if (mode !== 0 && mode !== 1) refuse(status.invalidArgument)
      responseOf(sandbox, handle).keepAlive = mode
    },
    get_addr_dest_ip(sandbox, handle: number, pointer: number, written: number) {
      const { origin } = responseOf(sandbox, handle)
      return origin === undefined ? status.none : giveAddress(sandbox, origin.address, pointer, written)
    },
    get_addr_dest_port(sandbox, handle: number, out: number) {
      const { origin } = responseOf(sandbox, handle)
      if (origin === undefined) return status.none
      sandbox.memory.u16(out, origin.port)
      return status.ok
    },
    send_downstream_pending(sandbox, handle: number) {
      if (sandbox.answered) refuse(status.error, 'an answer was sent already')
      const pending = sandbox.handles.take(handle, PendingRequest)
      sandbox.answered = true
      sandbox.lasts(answerWith(sandbox, pending))
    },
    send_downstream(sandbox, responseHandle: number, bodyHandle: number, streaming: number) {
      const response = sandbox.handles.get(responseHandle, GuestResponse)
      const body = sandbox.handles.get(bodyHandle, GuestBody)
      if (response.status >= 100 && response.status < 200) return sendInterim(sandbox, response)
      if (sandbox.answered) refuse(status.error, 'an answer was sent already')
      sandbox.answered = true
      sandbox.handles.take(responseHandle, GuestResponse)
      const { head, exact, chunked } = answerHead(sandbox, response, streaming === 1 ? undefined : body.length)
      const whole = streaming === 1 || chunked ? undefined : cutTo(exact, body.whole())
      if (whole !== undefined) {
        sandbox.handles.take(bodyHandle, GuestBody)
        return sandbox.answer(head, whole)
      }
      sandbox.call.reply({ head: packAnswer(head), body: 'stream' })
      const { out } = sandbox.call
      const way = exact === undefined ? out : new ExactOut(out, exact)
      const sent = body.pumpTo(way, streaming !== 1)
      sandbox.lasts(sent)
      if (streaming !== 1) {
        sandbox.handles.take(bodyHandle, GuestBody)
        return
      }
      const stream = new StreamingBody(way)
      stream.after(() => sent)
      sandbox.handles.replace(bodyHandle, stream)
    },
  },
}

interface FramedAnswer {
  readonly head: AnswerHead
  readonly exact?: number
  readonly chunked: boolean
}

/** Where there is no body by the rules of HTTP, the program's length describes what a GET would get. */
function answerHead(sandbox: Sandbox, response: GuestResponse, length?: number): FramedAnswer {
  const { status: code, headers } = response
  const bodyless = code === 204 || code === 304 || sandbox.run.method === 'HEAD'
  const described = bodyless ? announcedLength(headers.list) : length
  const framed = frame(sandbox, bodyless ? { headers, framing: 0 } : response, described)
  const head = { status: code, headers: framed.headers, start: sandbox.start }
  return { head, chunked: framed.chunked, ...(framed.exact !== undefined && { exact: framed.exact }) }
}

/** The backend's answer goes to the client as it comes; where there is none, an answer that says so. */
async function answerWith(sandbox: Sandbox, pending: PendingRequest): Promise<void> {
  const outcome = await pending.settled()
  if ('failed' in outcome) {
    const fields = new Fields(['content-type', 'text/plain; charset=utf-8'])
    pending.apply(fields, 'error')
    const head = packAnswer({ status: 503, headers: fields.list, start: sandbox.start })
    sandbox.call.reply({ head, body: Buffer.from(`${outcome.message}\n`) })
    return
  }
  const { response, body } = outcome
  pending.apply(response.headers, 'response')
  const { head } = answerHead(sandbox, response, body.length)
  const whole = body.whole()
  sandbox.call.reply({ head: packAnswer(head), body: whole ?? 'stream' })
  if (whole === undefined) await body.pumpTo(sandbox.call.out, true)
}

/** 103 passes; the answer itself is still to come. */
function sendInterim(sandbox: Sandbox, response: GuestResponse): void {
  if (response.status !== 103) refuse(status.httpInvalidStatus, 'of the interim answers only 103 may be sent')
  if (sandbox.answered) refuse(status.error, 'an answer was sent already')
  sandbox.call.note(asHead({ status: response.status, headers: response.headers.list }))
}
