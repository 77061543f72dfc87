/**
 * Stops programs that do not stop themselves. The program's turn runs on the cell's main thread; a second thread sees that
 * it has used its processor time and sets the word that the program's code checks in every loop (`wasm/meter-module.ts`):
 * then just this program traps.
 */
import { Worker } from 'node:worker_threads'
import { mainThreadCpuMs } from '../main-thread-cpu.ts'
import type { TurnWatch } from './scheduler.ts'

/** Words of the shared memory. The first is the one that programs read; `bell` never changes: waiting for it is sleeping. */
export const word = { stop: 0, state: 1, budgetMs: 2, asleep: 3, bell: 4 } as const
/** In `state`: 0 no turn; n > 0 turn n; -n turn n is being stopped, -n with `stop` set it was. */

/** `memory` is the one that modules import as `rimward.stop`. */
export function startWatch(memory: WebAssembly.Memory): TurnWatch & { close(): void } {
  const words = new Int32Array(memory.buffer as unknown as SharedArrayBuffer)
  const worker = new Worker(new URL('watch-thread.ts', import.meta.url), { workerData: memory.buffer, env: {} })
  worker.unref()
  let turn = 0
  let halted = false
  return {
    halt() {
      halted = true
      Atomics.store(words, word.stop, 1)
    },
    begin(budgetMs) {
      turn = turn === 0x3fff_ffff ? 1 : turn + 1
      words[word.budgetMs] = Math.ceil(budgetMs)
      Atomics.store(words, word.state, turn)
      if (Atomics.load(words, word.asleep) === 1) {
        Atomics.store(words, word.asleep, 0)
        Atomics.notify(words, word.asleep)
      }
    },
    end() {
      const inTime = Atomics.compareExchange(words, word.state, turn, 0) === turn
      if (inTime && halted) Atomics.store(words, word.stop, 0)
      halted = false
      if (inTime) return false
      // The watch has begun to stop this very turn: it sets the flag within microseconds.
      while (Atomics.load(words, word.stop) === 0);
      Atomics.store(words, word.stop, 0)
      Atomics.store(words, word.state, 0)
      return true
    },
    close: () => void worker.terminate(),
  }
}

/** The thread's whole life: looks every tick, and sleeps while no program runs for a while. */
export function watchTurns(words: Int32Array, options: { readonly tickMs: number; readonly pid: number }): never {
  let seen = 0
  let cpuAtSight = 0
  let idleTicks = 0
  for (;;) {
    const state = Atomics.load(words, word.state)
    idleTicks = state > 0 ? 0 : idleTicks + 1
    if (idleTicks > 20) {
      idleTicks = 0
      Atomics.store(words, word.asleep, 1)
      // A turn that began just before is seen when the next one rings, or at this look.
      if (Atomics.load(words, word.state) <= 0) Atomics.wait(words, word.asleep, 1)
      Atomics.store(words, word.asleep, 0)
      continue
    }
    if (state > 0 && state !== seen) {
      seen = state
      cpuAtSight = mainThreadCpuMs(options.pid)
    } else if (state > 0 && mainThreadCpuMs(options.pid) - cpuAtSight >= words[word.budgetMs]!) {
      if (Atomics.compareExchange(words, word.state, state, -state) === state) Atomics.store(words, word.stop, 1)
    }
    Atomics.wait(words, word.bell, 0, options.tickMs)
  }
}
