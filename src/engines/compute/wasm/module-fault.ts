/** Why a WebAssembly module was not read: what is wrong with it, as a value that a refusal can show. */
export interface ModuleFault {
  readonly fault:
    | 'not-wasm'
    | 'component'
    | 'truncated'
    | 'malformed'
    | 'invalid'
    | 'too-large'
    | 'unknown-opcode'
    | 'memory-too-large'
    | 'unsupported'
  /** Byte of the module where it shows; 0 where the module as a whole is meant. */
  readonly offset: number
  /** One sentence for the program's owner. */
  readonly detail: string
}

/** A result or the fault that prevented it. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: ModuleFault }

class FaultThrown extends Error {
  readonly fault: ModuleFault

  constructor(fault: ModuleFault) {
    super(fault.detail)
    this.fault = fault
  }
}

/** Leaves the reading of a module; `faultsAsValues` at the rim of this folder turns it into a value. */
export function fail(fault: ModuleFault['fault'], offset: number, detail: string): never {
  throw new FaultThrown({ fault, offset, detail })
}

/** Runs `work`, whose `fail` becomes a value. Anything else that is thrown is a bug and goes on. */
export function faultsAsValues<T>(work: () => T): Outcome<T> {
  try {
    return { ok: true, value: work() }
  } catch (thrown) {
    if (thrown instanceof FaultThrown) return { ok: false, fault: thrown.fault }
    throw thrown
  }
}
