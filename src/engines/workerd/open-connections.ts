/** Who is connected to a unix socket of another process, from the kernel's list. */
import { readFileSync } from 'node:fs'

/** Accepted connections of the listener at `path` (/proc/net/unix: state 03 is «connected»); 0 where there is no such list. */
export function connectionsTo(path: string): number {
  try {
    const lines = readFileSync('/proc/net/unix', 'latin1').split('\n')
    return lines.filter((line) => line.endsWith(` ${path}`) && line.split(/\s+/)[5] === '03').length
  } catch {
    return 0
  }
}
