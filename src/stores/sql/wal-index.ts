/** The header of the log's index, which SQLite shares through a file: https://www.sqlite.org/walformat.html#the_wal_index_header */
import { closeSync, openSync, readSync } from 'node:fs'

/** Bytes of a log before its first page, and of each page with its own header. */
export const walHeaderBytes = 32
export const walFrameBytes = 4096 + 24

export interface WalIndex {
  /** `page`: the last one that is committed; `salts` are others for each log that is begun. */
  read(): { readonly page: number; readonly salts: string }
  close(): void
}

/** Of a database that is open in this process. */
export function openWalIndex(file: string): WalIndex {
  const bytes = Buffer.alloc(40)
  const numbers = new Uint32Array(bytes.buffer, bytes.byteOffset, 10)
  const descriptor = openSync(`${file}-shm`, 'r')
  return {
    read() {
      readSync(descriptor, bytes, 0, 40, 0)
      return { page: numbers[4]!, salts: bytes.toString('hex', 32, 40) }
    },
    close: () => closeSync(descriptor),
  }
}
