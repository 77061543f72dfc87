/** The part of `fastly_http_req` that gives the client's connection to a backend, for WebSocket above all. */
import type { HandOverHead } from '../../fetch-protocol.ts'
import { asHead } from '../../protocol.ts'
import { packAnswer } from '../../request-heads.ts'
import type { Hostcall } from '../hostcall.ts'
import { GuestRequest } from '../messages.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, type Status, status } from '../status.ts'

async function handOver(sandbox: Sandbox, backend: string, request: GuestRequest | undefined): Promise<Status> {
  if (sandbox.answered) refuse(status.error, 'an answer was sent already')
  const { program, backends } = sandbox
  if (!backends.has(backend) && !program.facts.backends.some(({ name }) => name === backend))
    refuse(status.invalidArgument, `there is no backend ${backend}`)
  if (sandbox.fetches >= sandbox.limits.fetches) refuse(status.limitExceeded, 'too many backend requests')
  sandbox.fetches++
  const words = request && { method: request.method, uri: request.uri, headers: request.headers.list }
  const head: HandOverHead = { do: 'hand-over', run: sandbox.run.run, backend, ...(words && { request: words }) }
  sandbox.answered = true
  // What the node has by now stands in the place of this answer.
  sandbox.lasts(
    sandbox.line.call(asHead(head), null).reply.then(
      () => sandbox.call.reply({ head: packAnswer({ status: 101, headers: [], start: sandbox.start }), body: null }),
      (failure) => sandbox.call.fail(failure),
    ),
  )
  return status.ok
}

const ofClient: Hostcall = (sandbox, name: number, length: number) =>
  handOver(sandbox, sandbox.memory.text(name, length), undefined)

export const handOverCalls: Readonly<Record<string, Hostcall>> = {
  upgrade_websocket: ofClient,
  redirect_to_websocket_proxy: ofClient,
  redirect_to_websocket_proxy_v2: (sandbox, handle: number, name: number, length: number) =>
    handOver(sandbox, sandbox.memory.text(name, length), sandbox.handles.get(handle, GuestRequest)),
  redirect_to_grip_proxy: () => refuse(status.unsupported, 'there is no GRIP proxy'),
  redirect_to_grip_proxy_v2: () => refuse(status.unsupported, 'there is no GRIP proxy'),
}

export const handOverWaits = ['upgrade_websocket', 'redirect_to_websocket_proxy', 'redirect_to_websocket_proxy_v2']
