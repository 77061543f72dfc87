/** What Compute programs read of the stores of short items. */
import { randomBytes } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import type { SecretFacts, SecretVault, StoreItem } from '#/core/item-stores.ts'
import type { AccessLists, ConfigStores, Seal } from '#/core/ports.ts'
import type { HeldItemStores } from './item-stores.ts'

type Reading = Pick<HeldItemStores, 'items' | 'revision'>

/** Item stores with what is made of them. */
export function storesOver({ items, seal }: { readonly items: HeldItemStores; readonly seal: Seal }) {
  return {
    items,
    secrets: createSecretVault({ stores: items, seal }),
    accessLists: createAccessLists({ stores: items }),
  }
}

export function createConfigStores({ stores }: { readonly stores: Reading }): ConfigStores {
  return { get: async (store, key) => stores.items('config', store)?.get(key)?.value }
}

/** A secret as an item's value: base64 under the seal, and its digest. */
interface KeptSecret {
  readonly sealed: string
  readonly digest: string
  readonly facts?: SecretFacts
}

/** A digest is random: one made of the secret would let who reads it try out guesses. */
export function createSecretVault({
  stores,
  seal,
}: {
  readonly stores: Pick<HeldItemStores, 'items' | 'edit'>
  readonly seal: Seal
}): SecretVault {
  const read = (item: StoreItem) => JSON.parse(item.value) as KeptSecret
  return {
    async get(store, name) {
      const item = stores.items('secret', store)?.get(name)
      return item && Buffer.from(seal.open(read(item).sealed), 'base64')
    },
    put(store, name, secret, op, facts) {
      const kept: KeptSecret = {
        sealed: seal.seal(Buffer.from(secret).toString('base64')),
        digest: randomBytes(32).toString('base64'),
        ...(facts && { facts }),
      }
      return stores.edit('secret', store, [{ op, key: name, value: JSON.stringify(kept) }])
    },
    async describe(store, name, facts) {
      const item = stores.items('secret', store)?.get(name)
      if (item === undefined) return { ok: false, why: 'no_item', key: name }
      return stores.edit('secret', store, [
        { op: 'update', key: name, value: JSON.stringify({ ...read(item), facts }) },
      ])
    },
    facts: (item) => read(item).facts ?? {},
    digest: (item) => Buffer.from(read(item).digest, 'base64'),
  }
}

type Action = 'ALLOW' | 'BLOCK'

/** Networks of one list by family and length of the prefix, the longest first. */
type Table = readonly { readonly bits: number; readonly networks: ReadonlyMap<string, Action> }[]

interface Compiled {
  readonly revision: number
  readonly ipv4: Table
  readonly ipv6: Table
}

/** Compiled once a change; a lookup costs a map's look a length of prefix that the list has. */
export function createAccessLists({ stores }: { readonly stores: Reading }): AccessLists {
  const compiled = new Map<string, Compiled>()

  function tableOf(store: string): Compiled | undefined {
    const items = stores.items('access-list', store)
    if (items === undefined) {
      compiled.delete(store)
      return undefined
    }
    const revision = stores.revision('access-list', store)
    const known = compiled.get(store)
    if (known?.revision === revision) return known
    const made = { revision, ...compile([...items.values()]) }
    compiled.set(store, made)
    return made
  }

  return {
    async lookup(store, text) {
      if (!ipaddr.isValid(text)) return undefined
      const address = ipaddr.process(text)
      const bytes = address.toByteArray()
      for (const { bits, networks } of tableOf(store)?.[address.kind()] ?? []) {
        const masked = mask(bytes, bits)
        const action = networks.get(keyOf(masked))
        if (action !== undefined) return { prefix: `${ipaddr.fromByteArray(masked).toString()}/${bits}`, action }
      }
      return undefined
    },
  }
}

function compile(items: readonly StoreItem[]): Pick<Compiled, 'ipv4' | 'ipv6'> {
  const lengths = { ipv4: new Map<number, Map<string, Action>>(), ipv6: new Map<number, Map<string, Action>>() }
  for (const { key, value } of items) {
    const [address, bits] = ipaddr.parseCIDR(key)
    const ofKind = lengths[address.kind()]
    const networks = ofKind.get(bits) ?? new Map<string, Action>()
    ofKind.set(bits, networks)
    networks.set(keyOf(mask(address.toByteArray(), bits)), value === 'ALLOW' ? 'ALLOW' : 'BLOCK')
  }
  const sorted = (map: Map<number, Map<string, Action>>): Table =>
    [...map].map(([bits, networks]) => ({ bits, networks })).sort((one, other) => other.bits - one.bits)
  return { ipv4: sorted(lengths.ipv4), ipv6: sorted(lengths.ipv6) }
}

function mask(bytes: readonly number[], bits: number): number[] {
  return bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - index * 8))) & 0xff)
}

const keyOf = (bytes: readonly number[]): string => bytes.join('.')
