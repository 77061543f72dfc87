/** `fastly_secret_store`: a secret comes into this process when a program asks for it, and goes with the request. */
import { askNode, bytesOf } from '../ask-node.ts'
import type { HostcallModule } from '../hostcall.ts'
import { refuse, status } from '../status.ts'

class SecretStoreHandle {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** What a secret's handle holds; the keys of client certificates of dynamic backends are such ones too. */
export class GuestSecret {
  readonly bytes: Uint8Array
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

export const secretStore: HostcallModule = {
  name: 'fastly_secret_store',
  waits: new Set(['get']),
  calls: {
    open(sandbox, name: number, length: number, out: number) {
      const text = sandbox.memory.text(name, length)
      if (!sandbox.program.facts.stores.some((store) => store.kind === 'secret' && store.name === text))
        refuse(status.none, `there is no secret store ${text}`)
      sandbox.memory.u32(out, sandbox.handles.add(new SecretStoreHandle(text)))
    },
    async get(sandbox, handle: number, key: number, length: number, out: number) {
      const { name } = sandbox.handles.get(handle, SecretStoreHandle)
      const found = await askNode(sandbox, 'secret.get', { store: name, name: sandbox.memory.text(key, length) })
      if (found.body === null) return status.none
      sandbox.memory.u32(out, sandbox.handles.add(new GuestSecret(bytesOf(found))))
      return status.ok
    },
    plaintext(sandbox, handle: number, buffer: number, capacity: number, written: number) {
      sandbox.memory.give(sandbox.handles.get(handle, GuestSecret).bytes, buffer, capacity, written)
    },
    from_bytes(sandbox, pointer: number, length: number, out: number) {
      if (length >>> 0 > sandbox.limits.bodyBytes) refuse(status.limitExceeded, 'the secret is too large')
      sandbox.memory.u32(out, sandbox.handles.add(new GuestSecret(sandbox.memory.copy(pointer, length))))
    },
  },
}
