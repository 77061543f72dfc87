/** `fastly_config_store` and `fastly_dictionary`: short texts by key, under one space of names. */
import { askNode, bytesOf } from '../ask-node.ts'
import type { Hostcall, HostcallModule } from '../hostcall.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'

class ConfigStoreHandle {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

function exists({ program }: Sandbox, name: string): boolean {
  const { stores, dictionaries } = program.facts
  return dictionaries.includes(name) || stores.some((store) => store.kind === 'config' && store.name === name)
}

const calls: Record<string, Hostcall> = {
  open(sandbox, name: number, length: number, out: number) {
    const text = sandbox.memory.text(name, length)
    if (text === '') return status.none
    if (!exists(sandbox, text)) refuse(status.badHandle, `there is no config store ${text}`)
    sandbox.memory.u32(out, sandbox.handles.add(new ConfigStoreHandle(text)))
    return status.ok
  },
  async get(sandbox, handle: number, key: number, length: number, buffer: number, capacity: number, written: number) {
    const { name } = sandbox.handles.get(handle, ConfigStoreHandle)
    const found = await askNode(sandbox, 'config.get', { store: name, key: sandbox.memory.text(key, length) })
    if (found.body === null) return status.none
    sandbox.memory.give(bytesOf(found), buffer, capacity, written)
    return status.ok
  },
}

export const configStore: HostcallModule = { name: 'fastly_config_store', waits: new Set(['get']), calls }
export const dictionary: HostcallModule = { name: 'fastly_dictionary', waits: new Set(['get']), calls }
