/** `fastly_http_body`: what is read of requests and answers, and written to them. */
import { GuestBody, StreamingBody } from '../bodies.ts'
import type { HostcallModule } from '../hostcall.ts'
import { Fields } from '../messages.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'

type One = [pointer: number, capacity: number, written: number]
type Many = [pointer: number, capacity: number, cursor: number, endingCursor: number, written: number]

export function newBody(sandbox: Sandbox): GuestBody {
  return new GuestBody(sandbox.limits.bodyBytes)
}

export const httpBody: HostcallModule = {
  name: 'fastly_http_body',
  waits: new Set(['read', 'write', 'append']),
  calls: {
    new(sandbox, out: number) {
      sandbox.memory.u32(out, sandbox.handles.add(newBody(sandbox)))
    },
    read(sandbox, handle: number, buffer: number, capacity: number, readOut: number) {
      const body = sandbox.handles.get(handle, GuestBody)
      const give = (bytes: Uint8Array | null) => {
        if (bytes !== null) sandbox.memory.write(buffer, bytes)
        sandbox.memory.u32(readOut, bytes?.length ?? 0)
      }
      const read = body.read(capacity >>> 0)
      if (!(read instanceof Promise)) return give(read)
      return read.then(give, () => status.httpIncomplete)
    },
    write(sandbox, handle: number, pointer: number, length: number, end: number, writtenOut: number) {
      const body = sandbox.handles.any(handle)
      const bytes = sandbox.memory.copy(pointer, length)
      sandbox.memory.u32(writtenOut, bytes.length)
      if (body instanceof GuestBody) return body.push(bytes, end === 1 ? 'front' : 'back')
      if (!(body instanceof StreamingBody)) refuse(status.badHandle)
      if (end === 1) refuse(status.unsupported, 'a body that is being sent has no front')
      if (body.queue !== undefined) return body.queue.then(() => body.out.write(bytes))
      return body.out.write(bytes)
    },
    append(sandbox, to: number, from: number) {
      const target = sandbox.handles.any(to)
      const source = sandbox.handles.take(from, GuestBody)
      if (target instanceof GuestBody) return target.append(source)
      if (!(target instanceof StreamingBody)) refuse(status.badHandle)
      target.after(() => source.pumpTo(target.out, false))
      sandbox.lasts(target.queue!)
    },
    close(sandbox, handle: number) {
      const body = sandbox.handles.any(handle)
      if (body instanceof GuestBody) sandbox.handles.take(handle, GuestBody).drop()
      else if (body instanceof StreamingBody) finish(sandbox, sandbox.handles.take(handle, StreamingBody))
      else refuse(status.badHandle)
    },
    abandon(sandbox, handle: number) {
      const body = sandbox.handles.any(handle)
      if (body instanceof GuestBody) sandbox.handles.take(handle, GuestBody).drop()
      else if (body instanceof StreamingBody)
        sandbox.handles.take(handle, StreamingBody).out.fail('the program abandoned the body')
      else refuse(status.badHandle)
    },
    known_length(sandbox, handle: number, lengthOut: number) {
      const { length } = sandbox.handles.get(handle, GuestBody)
      if (length === undefined) return status.none
      sandbox.memory.u64(lengthOut, length)
      return status.ok
    },
    trailer_append(sandbox, handle: number, name: number, nameLength: number, value: number, valueLength: number) {
      const body = sandbox.handles.any(handle)
      if (!(body instanceof GuestBody || body instanceof StreamingBody)) refuse(status.badHandle)
      const { memory } = sandbox
      const fields = new Fields(body.trailers)
      fields.append(memory.latin1(name, nameLength), memory.latin1(value, valueLength))
    },
    trailer_names_get(sandbox, handle: number, ...where: Many) {
      sandbox.memory.giveMany(trailersOf(sandbox, handle).names(), ...where)
    },
    trailer_value_get(sandbox, handle: number, name: number, nameLength: number, ...where: One) {
      const value = trailersOf(sandbox, handle).first(sandbox.memory.latin1(name, nameLength))
      if (value === undefined) return status.none
      sandbox.memory.give(Buffer.from(value, 'latin1'), ...where)
      return status.ok
    },
    trailer_values_get(sandbox, handle: number, name: number, nameLength: number, ...where: Many) {
      const values = trailersOf(sandbox, handle).values(sandbox.memory.latin1(name, nameLength))
      sandbox.memory.giveMany(values, ...where)
    },
  },
}

/** The end of a body that streams comes after what was appended to it. */
function finish(sandbox: Sandbox, body: StreamingBody): void {
  const trailers = body.trailers.length > 0 ? body.trailers : undefined
  if (body.queue === undefined) body.out.end(trailers)
  else sandbox.lasts(body.queue.then(() => body.out.end(trailers)))
}

/** Trailers come after the last byte: until that was read, nobody knows them. */
function trailersOf(sandbox: Sandbox, handle: number): Fields {
  const body = sandbox.handles.get(handle, GuestBody)
  if (!body.ended) refuse(status.again, 'the body was not read to its end')
  return new Fields(body.trailers)
}
