/** Parts of files, read and copied so that a copy is whole or not there. */
import { closeSync, fsyncSync, openSync, readSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Fewer where the file ends before. */
export function readBytes(path: string, from: number, length: number): Buffer {
  const descriptor = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(length)
    return bytes.subarray(0, readSync(descriptor, bytes, 0, length, from))
  } finally {
    closeSync(descriptor)
  }
}

/** The first `length` bytes, durable under the new name. */
export function copyBytes(from: string, to: string, length: number): void {
  const source = openSync(from, 'r')
  const target = openSync(`${to}.part`, 'w', 0o600)
  try {
    const part = Buffer.allocUnsafe(Math.min(length, 1024 * 1024))
    for (let at = 0; at < length; ) {
      const read = readSync(source, part, 0, Math.min(part.length, length - at), at)
      if (read === 0) throw new Error(`${from} is shorter than ${length} bytes.`)
      writeSync(target, part, 0, read)
      at += read
    }
    fsyncSync(target)
  } finally {
    closeSync(source)
    closeSync(target)
  }
  renameSync(`${to}.part`, to)
  syncFile(dirname(to))
}

/** Of a file or a folder. */
export function syncFile(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
