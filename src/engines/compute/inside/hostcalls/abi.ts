/** `fastly_abi`. */
import type { HostcallModule } from '../hostcall.ts'
import { refuse, status } from '../status.ts'

export const abi: HostcallModule = {
  name: 'fastly_abi',
  calls: {
    init(_sandbox, version: bigint) {
      if (version !== 1n) refuse(status.invalidArgument, 'there is only version 1 of the ABI')
    },
  },
}
