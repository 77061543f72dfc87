/** Compute programs in WebAssembly text, for tests in which little happens inside. */
import { assemble, program } from '#/engines/compute/compute.fixture.ts'

/** It answers one sentence. */
export function smallProgram(says: string): Promise<Uint8Array> {
  return assemble(
    program(
      `(call $answer (i32.const 200) (i32.const 64) (i32.const ${says.length}))`,
      `(data (i32.const 64) "${says}")`,
    ),
  )
}

/** Answers the number of a backend's health: 0 unknown, 1 healthy, 2 unhealthy. */
export function healthProgram(backend: string): Promise<Uint8Array> {
  return assemble(
    program(
      `(drop (call $is_healthy (i32.const 64) (i32.const ${backend.length}) (i32.const 128)))
      (i32.store8 (i32.const 128) (i32.add (i32.const 48) (i32.load8_u (i32.const 128))))
      (call $answer (i32.const 200) (i32.const 128) (i32.const 1))`,
      `(import "fastly_backend" "is_healthy" (func $is_healthy (param i32 i32 i32) (result i32)))
      (data (i32.const 64) "${backend}")`,
    ),
  )
}
