/**
 * Stores of short items: config stores, secret stores and access lists of Compute programs. Nouns and the port of the side
 * that writes; programs read through `ConfigStores`, `SecretStores` and `AccessLists`.
 */
import type { SecretStores } from './ports.ts'
import type { EpochMs } from './units.ts'

export type ItemStoreKind = 'config' | 'secret' | 'access-list'

export interface ItemStore {
  readonly id: string
  readonly kind: ItemStoreKind
  /** Unique among the stores of its kind. */
  readonly name: string
  readonly createdAt: EpochMs
  readonly modifiedAt: EpochMs
}

export interface StoreItem {
  readonly key: string
  readonly value: string
  readonly createdAt: EpochMs
  readonly modifiedAt: EpochMs
}

export interface ItemChange {
  readonly op: 'create' | 'update' | 'upsert' | 'delete'
  readonly key: string
  /** Not looked at by `delete`. */
  readonly value: string
}

export type ItemStoreOutcome<Result> =
  | { readonly ok: true; readonly result: Result }
  | {
      readonly ok: false
      readonly why: 'no_store' | 'name_taken' | 'too_many' | 'too_large' | 'item_taken' | 'no_item'
      /** Of the item, where it is about one. */
      readonly key?: string
    }

/** What succeeded is on disk, and read by the next request; what did not has changed nothing. */
export interface ItemStores {
  /** In the order of their making. */
  all(kind: ItemStoreKind): readonly ItemStore[]
  find(kind: ItemStoreKind, id: string): ItemStore | undefined
  create(kind: ItemStoreKind, name: string): Promise<ItemStoreOutcome<ItemStore>>
  rename(kind: ItemStoreKind, id: string, name: string): Promise<ItemStoreOutcome<ItemStore>>
  remove(kind: ItemStoreKind, id: string): Promise<boolean>
  /** In the order of their making; `undefined` where there is no such store. */
  items(kind: ItemStoreKind, id: string): ReadonlyMap<string, StoreItem> | undefined
  /** All changes, in their order, or none. */
  edit(kind: ItemStoreKind, id: string, changes: readonly ItemChange[]): Promise<ItemStoreOutcome<ItemStore>>
}

/** What people say of a secret; nothing of it is secret. */
export interface SecretFacts {
  readonly comment?: string
  readonly scopes?: readonly string[]
}

/** The writing side of secret stores; what a secret is in clear is read by programs only. */
export interface SecretVault extends SecretStores {
  /** Sealed before it is written. `update` and `upsert` put a new secret in place of an old one. */
  put(
    store: string,
    name: string,
    secret: Uint8Array,
    op: Exclude<ItemChange['op'], 'delete'>,
    facts?: SecretFacts,
  ): Promise<ItemStoreOutcome<ItemStore>>
  /** The secret stays. */
  describe(store: string, name: string, facts: SecretFacts): Promise<ItemStoreOutcome<ItemStore>>
  facts(item: StoreItem): SecretFacts
  /** 32 bytes that change with each writing of the secret and tell nothing of it. */
  digest(item: StoreItem): Uint8Array
}

/** A key that a client seals a secret with before it sends it. */
export interface ClientKey {
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array
  /** Ed25519 over the public key. */
  readonly signature: Uint8Array
  readonly expiresAt: EpochMs
}

export interface ClientKeys {
  /** Ed25519, 32 bytes: what signatures are checked with. */
  readonly signingKey: Uint8Array
  issue(): ClientKey
  /** `undefined` when the key is unknown or too old, or the box was not sealed with it. */
  open(box: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined
}
