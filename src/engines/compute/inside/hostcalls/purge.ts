/** `fastly_purge`: what is stored under a surrogate key of this service goes, or becomes stale. */
import type { PurgeKeyHead } from '../../cache-protocol.ts'
import { asHead } from '../../protocol.ts'
import type { HostcallModule } from '../hostcall.ts'
import { refuse, type Status, status } from '../status.ts'

const bits = { soft: 1, answer: 2 } as const

export const purge: HostcallModule = {
  name: 'fastly_purge',
  waits: new Set(['purge_surrogate_key']),
  calls: {
    purge_surrogate_key(sandbox, pointer: number, length: number, mask: number, options: number) {
      const { memory, run } = sandbox
      if ((mask & ~3) !== 0) refuse(status.unsupported, 'an unknown option of a purge')
      const key = memory.text(pointer, length).trim()
      if (key === '' || key.length > 1024 || /\s/.test(key)) refuse(status.invalidArgument, 'not a surrogate key')
      const head: PurgeKeyHead = { do: 'purge-key', run: run.run, key, soft: (mask & bits.soft) !== 0 }
      return sandbox.line.call(asHead(head), null).reply.then(
        (): Status => {
          // As the purge API answers (https://www.fastly.com/documentation/reference/api/purging/).
          const answer = JSON.stringify({ status: 'ok', id: `${run.requestId}-${key}` })
          if ((mask & bits.answer) !== 0)
            memory.give(answer, memory.readU32(options), memory.readU32(options + 4), memory.readU32(options + 8))
          return status.ok
        },
        () => status.error,
      )
    },
  },
}
