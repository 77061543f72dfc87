/** Programs that make host calls one after the other, written as a list; for tests of single calls. */

import type { ComputeCode } from '#/core/compute.ts'
import type { ProgramRequest } from '#/core/ports.ts'
import type { Program } from '#/core/snapshot.ts'
import { assemble, type ComputeStage } from './compute.fixture.ts'

/**
 * A number is an i32, a bigint an i64, a text its address and length. `out` is the address of a named place of 8 bytes,
 * `load` what lies there, `buffer` the address and size of a named buffer, `place` its address alone, `struct` the address of fields in memory (texts
 * there are address and length too).
 */
export type Argument =
  | number
  | bigint
  | string
  | { readonly out: string }
  | { readonly load: string }
  | { readonly buffer: string; readonly size: number }
  | { readonly place: string; readonly size: number }
  | { readonly bytes: Uint8Array }
  | { readonly struct: readonly (number | bigint | string)[] }

export type Call = readonly [name: `${string}.${string}`, ...Argument[]]

export interface Outcome {
  /** Of each call, in order. */
  readonly statuses: readonly number[]
  u32(place: string): number
  u64(place: string): bigint
  /** What lies in a buffer, as long as the place says. */
  text(buffer: string, lengthPlace: string): string
  bytes(buffer: string): Uint8Array
}

const statusAt = 64
const placesAt = 4096
const buffersAt = 16_384
const constantsAt = 262_144
const dumped = 131_072

export const out = (name: string) => ({ out: name })
export const load = (name: string) => ({ load: name })
export const buffer = (name: string, size = 256) => ({ buffer: name, size })

interface Layout {
  readonly places: Map<string, number>
  readonly buffers: Map<string, { at: number; size: number }>
  readonly data: string[]
  constants: number
  room: number
}

function keep(layout: Layout, bytes: Uint8Array): number {
  const at = layout.constants
  layout.constants += Math.ceil((bytes.length + 1) / 8) * 8
  layout.data.push(
    `(data (i32.const ${at}) "${[...bytes].map((one) => `\\${one.toString(16).padStart(2, '0')}`).join('')}")`,
  )
  return at
}

function placeOf({ places }: Layout, name: string): number {
  const known = places.get(name) ?? placesAt + places.size * 8
  places.set(name, known)
  return known
}

function structOf(layout: Layout, fields: readonly (number | bigint | string)[]): number {
  const parts = fields.map((field) => {
    const bytes = Buffer.alloc(8)
    if (typeof field === 'bigint') bytes.writeBigUInt64LE(field)
    else if (typeof field === 'number') bytes.writeUInt32LE(field)
    else {
      bytes.writeUInt32LE(keep(layout, Buffer.from(field)))
      bytes.writeUInt32LE(Buffer.byteLength(field), 4)
    }
    return typeof field === 'number' ? bytes.subarray(0, 4) : bytes
  })
  return keep(layout, Buffer.concat(parts))
}

/** WebAssembly text of the arguments. */
function values(layout: Layout, argument: Argument): string[] {
  if (typeof argument === 'number') return [`(i32.const ${argument})`]
  if (typeof argument === 'bigint') return [`(i64.const ${argument})`]
  if (typeof argument === 'string')
    return [`(i32.const ${keep(layout, Buffer.from(argument))})`, `(i32.const ${Buffer.byteLength(argument)})`]
  if ('out' in argument) return [`(i32.const ${placeOf(layout, argument.out)})`]
  if ('load' in argument) return [`(i32.load (i32.const ${placeOf(layout, argument.load)}))`]
  if ('bytes' in argument)
    return [`(i32.const ${keep(layout, argument.bytes)})`, `(i32.const ${argument.bytes.length})`]
  if ('struct' in argument) return [`(i32.const ${structOf(layout, argument.struct)})`]
  const name = 'place' in argument ? argument.place : argument.buffer
  const known = layout.buffers.get(name) ?? { at: layout.room, size: argument.size }
  if (!layout.buffers.has(name)) layout.room += Math.ceil(argument.size / 8) * 8
  layout.buffers.set(name, known)
  const at = `(i32.const ${known.at})`
  return 'place' in argument ? [at] : [at, `(i32.const ${argument.size})`]
}

interface Written {
  readonly text: string
  readonly layout: Layout
}

function write(calls: readonly Call[]): Written {
  const layout: Layout = { places: new Map(), buffers: new Map(), data: [], constants: constantsAt, room: buffersAt }
  const imports = new Map<string, string>()
  const body = calls.map(([name, ...given], index) => {
    const args = given.flatMap((argument) => values(layout, argument))
    const [module, call] = name.split('.') as [string, string]
    const types = args.map((text) => (text.startsWith('(i64') ? 'i64' : 'i32')).join(' ')
    const symbol = `$${name}_${types.replaceAll(' ', '_')}`
    imports.set(symbol, `(import "${module}" "${call}" (func ${symbol} (param ${types}) (result i32)))`)
    return `(i32.store (i32.const ${statusAt + index * 4}) (call ${symbol} ${args.join(' ')}))`
  })
  const text = `(module
    ${[...imports.values()].join('\n    ')}
    (import "fastly_http_resp" "new" (func $resp_new (param i32) (result i32)))
    (import "fastly_http_resp" "send_downstream" (func $send (param i32 i32 i32) (result i32)))
    (import "fastly_http_body" "new" (func $body_new (param i32) (result i32)))
    (import "fastly_http_body" "write" (func $write (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") ${Math.ceil(layout.constants / 65_536)})
    ${layout.data.join('\n    ')}
    (func (export "_start")
      ${body.join('\n      ')}
      (drop (call $resp_new (i32.const 0)))
      (drop (call $body_new (i32.const 4)))
      (drop (call $write (i32.load (i32.const 4)) (i32.const 0) (i32.const ${dumped}) (i32.const 0) (i32.const 8)))
      (drop (call $send (i32.load (i32.const 0)) (i32.load (i32.const 4)) (i32.const 0)))))`
  return { text, layout }
}

function read(memory: Buffer, { places, buffers }: Layout, count: number): Outcome {
  return {
    statuses: Array.from({ length: count }, (_, index) => memory.readUInt32LE(statusAt + index * 4)),
    u32: (place) => memory.readUInt32LE(places.get(place)!),
    u64: (place) => memory.readBigUInt64LE(places.get(place)!),
    text(name, lengthPlace) {
      const { at } = buffers.get(name)!
      return memory.toString('utf8', at, at + memory.readUInt32LE(places.get(lengthPlace)!))
    },
    bytes(name) {
      const { at, size } = buffers.get(name)!
      return memory.subarray(at, at + size)
    },
  }
}

/** Runs the calls in a program of its own, in a cell. */
export async function callAll(
  { add, ask }: ComputeStage,
  calls: readonly Call[],
  options: {
    readonly name?: string
    readonly code?: Partial<ComputeCode>
    readonly rest?: Pick<Program, 'lookups'>
    readonly request?: Partial<ProgramRequest>
  } = {},
): Promise<Outcome> {
  const { text, layout } = write(calls)
  const program = add(options.name ?? 'calls', await assemble(text), options.code, options.rest)
  const { body } = await ask(program, '/', options.request)
  const memory = Buffer.from(body instanceof Uint8Array ? body : Buffer.concat(await body!.toArray()))
  return read(memory, layout, calls.length)
}
