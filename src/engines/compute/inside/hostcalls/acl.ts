/** `fastly_acl`: which entry of an access list covers an address. */
import { askNode, bytesOf } from '../ask-node.ts'
import type { HostcallModule } from '../hostcall.ts'
import { refuse, status } from '../status.ts'
import { addressOf } from './address-of.ts'
import { newBody } from './http-body.ts'

/** `acl_error` of the ABI. */
const aclError = { ok: 1, noContent: 2 } as const

class AclHandle {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

export const acl: HostcallModule = {
  name: 'fastly_acl',
  waits: new Set(['lookup']),
  calls: {
    open(sandbox, name: number, length: number, out: number) {
      const text = sandbox.memory.text(name, length)
      if (!sandbox.program.facts.stores.some((store) => store.kind === 'access-list' && store.name === text))
        refuse(status.none, `there is no access list ${text}`)
      sandbox.memory.u32(out, sandbox.handles.add(new AclHandle(text)))
    },
    async lookup(sandbox, handle: number, octets: number, length: number, bodyOut: number, errorOut: number) {
      const { name } = sandbox.handles.get(handle, AclHandle)
      const found = await askNode(sandbox, 'acl.lookup', { store: name, address: addressOf(sandbox, octets, length) })
      if (found.body !== null) {
        const body = newBody(sandbox)
        body.push(bytesOf(found))
        sandbox.memory.u32(bodyOut, sandbox.handles.add(body))
      }
      sandbox.memory.u32(errorOut, found.body === null ? aclError.noContent : aclError.ok)
    },
  },
}
