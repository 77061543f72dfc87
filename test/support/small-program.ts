/** Compute programs in WebAssembly text, for tests in which little happens inside. */
import loadWabt from 'wabt'

/** It answers one sentence. */
export async function smallProgram(says: string): Promise<Uint8Array> {
  return compiled(`(module
    (import "fastly_http_resp" "new" (func $new_response (param i32) (result i32)))
    (import "fastly_http_body" "new" (func $new_body (param i32) (result i32)))
    (import "fastly_http_body" "write" (func $write (param i32 i32 i32 i32 i32) (result i32)))
    (import "fastly_http_resp" "send_downstream" (func $send (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "${says}")
    (func (export "_start")
      (drop (call $new_response (i32.const 0)))
      (drop (call $new_body (i32.const 4)))
      (drop (call $write (i32.load (i32.const 4)) (i32.const 64) (i32.const ${says.length}) (i32.const 0) (i32.const 8)))
      (drop (call $send (i32.load (i32.const 0)) (i32.load (i32.const 4)) (i32.const 0)))))`)
}

/** Answers the number of a backend's health: 0 unknown, 1 healthy, 2 unhealthy. */
export async function healthProgram(backend: string): Promise<Uint8Array> {
  return compiled(`(module
    (import "fastly_backend" "is_healthy" (func $is_healthy (param i32 i32 i32) (result i32)))
    (import "fastly_http_resp" "new" (func $new_response (param i32) (result i32)))
    (import "fastly_http_body" "new" (func $new_body (param i32) (result i32)))
    (import "fastly_http_body" "write" (func $write (param i32 i32 i32 i32 i32) (result i32)))
    (import "fastly_http_resp" "send_downstream" (func $send (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "${backend}")
    (func (export "_start")
      (drop (call $is_healthy (i32.const 64) (i32.const ${backend.length}) (i32.const 128)))
      (i32.store8 (i32.const 128) (i32.add (i32.const 48) (i32.load8_u (i32.const 128))))
      (drop (call $new_response (i32.const 0)))
      (drop (call $new_body (i32.const 4)))
      (drop (call $write (i32.load (i32.const 4)) (i32.const 128) (i32.const 1) (i32.const 0) (i32.const 8)))
      (drop (call $send (i32.load (i32.const 0)) (i32.load (i32.const 4)) (i32.const 0)))))`)
}

async function compiled(text: string): Promise<Uint8Array> {
  const wabt = await loadWabt()
  return wabt.parseWat('program.wat', text).toBinary({}).buffer
}
