/** Addresses as the ABI has them: 4 or 16 bytes. */
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'

/** Text of the address; throws `invalid argument` for another length. */
export function addressOf(sandbox: Sandbox, pointer: number, length: number): string {
  if (length !== 4 && length !== 16) refuse(status.invalidArgument, 'not an address')
  const bytes = sandbox.memory.bytes(pointer, length)
  if (length === 4) return bytes.join('.')
  const groups: string[] = []
  for (let at = 0; at < 16; at += 2) groups.push(((bytes[at]! << 8) | bytes[at + 1]!).toString(16))
  return groups.join(':')
}
