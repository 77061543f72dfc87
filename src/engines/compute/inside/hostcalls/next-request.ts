/** `next_request` of `fastly_http_downstream`: several requests in one instance, one after the other. */
import type { Hostcall } from '../hostcall.ts'
import type { Sandbox } from '../sandbox.ts'
import { NextRequest } from '../session.ts'
import { refuse, status } from '../status.ts'
import { downstream } from './downstream-request.ts'

/** Bit 1 of the mask: `options` holds a time in ms. */
const withTimeout = 2

export const nextRequestCalls: Readonly<Record<string, Hostcall>> = {
  next_request(sandbox, mask: number, options: number, out: number) {
    if ((mask & ~withTimeout) !== 0) refuse(status.invalidArgument)
    const timeout = (mask & withTimeout) === 0 ? undefined : Number(sandbox.memory.readU64(options))
    sandbox.memory.u32(out, sandbox.handles.add(open(sandbox, timeout)))
  },
  async next_request_wait(sandbox, handle: number, requestOut: number, bodyOut: number) {
    const item = sandbox.handles.take(handle, NextRequest)
    const session = sandbox.session!
    await session.part()
    await new Promise<void>((resolve) => item.whenReady(resolve))
    const given = item.taken()
    session.next = undefined
    if (given === undefined) {
      session.endSoon(sandbox.limits.reuseIdleMs)
      return status.none
    }
    session.take(given)
    const { request, body } = downstream(given.sandbox)
    sandbox.memory.u32(requestOut, request)
    sandbox.memory.u32(bodyOut, body)
    return status.ok
  },
  next_request_abandon(sandbox, handle: number) {
    sandbox.handles.take(handle, NextRequest).end()
    sandbox.session!.next = undefined
  },
}

/** Already over where the instance has served enough. */
function open(sandbox: Sandbox, timeoutMs: number | undefined): NextRequest {
  const { session, program, limits } = sandbox
  if (session === undefined || session.next !== undefined) return refuse(status.limitExceeded, 'one at a time')
  const item = new NextRequest(() => {
    clearTimeout(timer)
    program.waiting.delete(item)
  })
  const timer = setTimeout(() => item.end(), Math.min(timeoutMs ?? limits.reuseIdleMs, limits.reuseIdleMs))
  const isSpent =
    session.requests >= limits.reuseRequests ||
    performance.now() - session.startedAt >= limits.reuseMs ||
    program.waiting.size >= limits.idleInstances ||
    sandbox.handles.size > limits.handles / 2
  session.next = item
  program.waiting.add(item)
  if (isSpent) item.end()
  return item
}
