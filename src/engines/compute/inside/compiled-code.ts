/** Compiled code in this cell, and what all programs of it share. */
import { type BlankInstance, type KeptParts, openBlank } from '../wasm/reset-instance.ts'

export interface CompiledCode {
  readonly module: WebAssembly.Module
  /** All imports but memories. */
  readonly imports: WebAssembly.Imports
  /** As `openBlank`, at once where one waits; another one will. */
  takeBlank(parts: KeptParts): BlankInstance
}

/** Whoever waits for an answer gets it first. */
const spareAfterMs = 5
const pageBytes = 65_536

/**
 * One blank instance waits for the next program: instantiating is most of what the first request to a program costs whose
 * code is known. Its memory has the size that the smallest program asked for, and grows to fit.
 */
export function createCode(module: WebAssembly.Module, imports: WebAssembly.Imports): CompiledCode {
  let spare: BlankInstance | undefined
  let ofSpare: KeptParts | undefined
  let timer: NodeJS.Timeout | undefined

  function makeSpare(): void {
    timer = undefined
    try {
      spare = openBlank(ofSpare!)
    } catch {
      // Whoever needs one hears of it.
    }
  }

  return {
    module,
    imports,
    takeBlank(parts) {
      const found = spare !== undefined && fits(spare, ofSpare!, parts) ? spare : undefined
      spare = undefined
      if (found === undefined) ofSpare = parts
      if (timer === undefined) timer = setTimeout(makeSpare, spareAfterMs).unref()
      return found ?? openBlank(parts)
    },
  }
}

/** Makes its memory as large as is wanted, where it can. */
function fits({ memory }: BlankInstance, had: KeptParts, wanted: KeptParts): boolean {
  if (memory === undefined || wanted.memory === undefined || had.memory?.maximum !== wanted.memory.maximum) return false
  const missing = wanted.memory.initial - memory.buffer.byteLength / pageBytes
  if (missing > 0) memory.grow(missing)
  return missing >= 0
}
