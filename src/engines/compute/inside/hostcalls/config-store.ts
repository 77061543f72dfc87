/**
 * `fastly_config_store` and `fastly_dictionary`: short texts by key, under one space of names. A table of the service itself
 * stands before a config store of the same name; this process has its items.
 */
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
  return Object.hasOwn(dictionaries, name) || stores.some((store) => store.kind === 'config' && store.name === name)
}

const calls: Record<string, Hostcall> = {
  open(sandbox, name: number, length: number, out: number) {
    const text = sandbox.memory.text(name, length)
    if (text === '') return status.none
    if (!exists(sandbox, text)) refuse(status.badHandle, `there is no config store ${text}`)
    sandbox.memory.u32(out, sandbox.handles.add(new ConfigStoreHandle(text)))
    return status.ok
  },
  get(sandbox, handle: number, key: number, length: number, buffer: number, capacity: number, written: number) {
    const { name } = sandbox.handles.get(handle, ConfigStoreHandle)
    const text = sandbox.memory.text(key, length)
    const give = (found: Uint8Array | string | undefined) => {
      if (found === undefined) return status.none
      sandbox.memory.give(found, buffer, capacity, written)
      return status.ok
    }
    const { dictionaries } = sandbox.program.facts
    if (Object.hasOwn(dictionaries, name))
      return give(Object.hasOwn(dictionaries[name]!, text) ? dictionaries[name]![text] : undefined)
    return askNode(sandbox, 'config.get', { store: name, key: text }).then((found) =>
      give(found.body === null ? undefined : bytesOf(found)),
    )
  },
}

export const configStore: HostcallModule = { name: 'fastly_config_store', waits: new Set(['get']), calls }
export const dictionary: HostcallModule = { name: 'fastly_dictionary', waits: new Set(['get']), calls }
