/** Imports and exports as the store is asked for them. */
import { EdgeError } from '#/core/errors.ts'
import type { StoreAnswer, StoreCall } from '#/core/homed-stores.ts'
import { readBookmark } from './bookmarks.ts'
import type { DumpOptions } from './dump-database.ts'
import type { ImportState, Transfers } from './transfers.ts'

type Operations = Readonly<Record<string, (call: StoreCall) => Promise<StoreAnswer>>>

const answer = (head: object): StoreAnswer => ({ head: head as StoreAnswer['head'], body: null })

/** What an import came to, flat: `status` is `none` where there is none. */
function tell(state: ImportState | undefined): StoreAnswer {
  if (state === undefined) return answer({ status: 'none' })
  return answer(state.status === 'complete' ? { ...state.head, ...state, head: undefined } : state)
}

export function transferOperations(transfers: Transfers, folderOf: (id: string) => string): Operations {
  return {
    'import-receive': async ({ id, body }) => answer(await transfers.receive(folderOf(id), body ?? new Uint8Array(0))),
    async 'import-begin'({ id, head }) {
      if (transfers.import(folderOf(id), String(head?.md5)) === undefined) return tell(undefined)
      return tell(await transfers.standing(folderOf(id)))
    },
    'import-poll': async ({ id }) => tell(await transfers.standing(folderOf(id))),
    async restore({ id, head }) {
      const moment = readBookmark(String(head?.bookmark))
      if (moment === undefined) return answer({ refused: 'The bookmark is not one of a database here.' })
      const { bookmark, previous, refused } = await transfers.restore(folderOf(id), moment)
      return answer({ bookmark, previous, refused })
    },
    async export({ id, head, signal }) {
      const { tables = [], schema = true, data = true } = (head ?? {}) as Partial<DumpOptions>
      if (!Array.isArray(tables)) throw new EdgeError('internal', 'The tables of an export are no list.')
      return { head: {}, body: transfers.export(folderOf(id), { tables, schema, data }, signal) }
    },
  }
}
