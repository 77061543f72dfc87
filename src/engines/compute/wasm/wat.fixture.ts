import wabt from 'wabt'

const tools = await wabt()

/** A module from its text, every proposal of wabt on. */
export function fromWat(text: string): Uint8Array<ArrayBuffer> {
  const module = tools.parseWat('module.wat', text, {
    exceptions: true,
    mutable_globals: true,
    sat_float_to_int: true,
    sign_extension: true,
    simd: true,
    threads: true,
    function_references: true,
    multi_value: true,
    tail_call: true,
    bulk_memory: true,
    reference_types: true,
    memory64: true,
    extended_const: true,
    relaxed_simd: true,
  })
  try {
    return Uint8Array.from(module.toBinary({ write_debug_names: true }).buffer)
  } finally {
    module.destroy()
  }
}

/** Something of nearly everything that a core module may hold. */
export const muchOfEverything = `(module $much
  (type $unary (func (param i32) (result i32)))
  (import "env" "log" (func $log (param i32 i64)))
  (import "env" "base" (global $base i32))
  (memory 2 40)
  (table $t 4 8 funcref)
  (tag $tag (param i32))
  (global $count (mut i32) (i32.const -7))
  (global $long (mut i64) (i64.const 0x7fffffffffff))
  (global $real (mut f64) (f64.const 1.5))
  (global $fixed f32 (f32.const 2.5))
  (export "memory" (memory 0))
  (export "twice" (func $twice))
  (export "walk" (func $walk))
  (start $first)
  (elem (i32.const 1) func $twice $walk)
  (elem declare func $first)
  (data (i32.const 16) "rimward")
  (data (i32.const 70000) "\\00\\ff\\80")
  (func $first (i32.store (i32.const 8) (i32.const 41)) (global.set $count (i32.const 3)))
  (func $twice (type $unary) (i32.add (local.get 0) (local.get 0)))
  (func $walk (param i32) (result i32) (local i64 f32 v128)
    (block $out (result i32)
      (loop $next (param) (result i32)
        (br_if $out (i32.const 5) (i32.eqz (local.get 0))) drop
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (local.set 3 (v128.const i32x4 1 2 3 4))
        (drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (local.get 3) (local.get 3)))
        (drop (i32.atomic.load (i32.const 64)))
        (drop (i32.trunc_sat_f32_s (local.get 2)))
        (memory.fill (i32.const 128) (i32.const 1) (i32.const 9))
        (drop (call_indirect $t (type $unary) (local.get 0) (i32.const 1)))
        (block $a (block $b (br_table $a $b (local.get 0))))
        (try (do (call $log (i32.const 1) (i64.const 2))) (catch $tag drop) (catch_all))
        (br $next)))
    (drop (memory.grow (i32.const 1)))
    (drop (select (result i32) (i32.const 1) (i32.const 2) (local.get 0)))
    (return_call $twice)))`
