import { readFileSync } from 'node:fs'
import type { MappedImage, PageScan } from './scan-pages.ts'
import { globalsOf, type StateImage } from './take-image.ts'

/** How a kept instance's memory is made equal to the image again. */
export type ResetStrategy = 'copy' | 'compare' | 'pages'

export interface KeptInstance {
  readonly instance: WebAssembly.Instance
  readonly memory: WebAssembly.Memory | undefined
  /**
   * Makes it as new, but for what the host holds of it. Never call it on an instance that trapped or has calls pending:
   * such a one is dropped. Tells what was put back, or why it must be dropped.
   */
  reset(): ResetOutcome
}

export type ResetOutcome =
  /** How many bytes of memory were written back. */
  { readonly ok: true; readonly bytes: number } | { readonly ok: false; readonly why: 'memory-grew' | 'kernel-refused' }

/** An image as instances are opened from it: the bytes in this process, and mapped where the kernel's pages are used. */
export interface ImageSource {
  readonly state: StateImage
  readonly strategy: ResetStrategy
  readonly mapped: MappedImage | undefined
}

/** Up to this size copying everything is about as quick as asking the kernel, and takes no descriptor. */
const copyBytes = 128 * 1024

/**
 * Chooses for one image: small ones are copied whole, large ones put back by written pages where `scan` is there, else
 * copied too. Beside a mapped image the bytes given need not be kept: the source has the mapped ones.
 */
export function openImageSource(state: StateImage, scan: PageScan | undefined): ImageSource {
  if (state.memory.length <= copyBytes) return { state, strategy: 'copy', mapped: undefined }
  const mapped = scan?.openImage(state.memory)
  if (mapped === undefined) return { state, strategy: 'copy', mapped }
  return { state: { ...state, memory: mapped.bytes }, strategy: 'pages', mapped }
}

/** As `openImageSource`, for an image that lies in a file: a large one is not read but mapped. */
export function openImageSourceFile(
  path: string,
  bytes: number,
  globals: StateImage['globals'],
  scan: PageScan | undefined,
): ImageSource {
  const mapped = bytes > copyBytes ? scan?.openImageFile(path, bytes) : undefined
  if (mapped === undefined) return openImageSource({ memory: readFileSync(path), globals }, undefined)
  return { state: { memory: mapped.bytes, globals }, strategy: 'pages', mapped }
}

/** What an instance is made of: the split module with its names, and the imports of one instance. */
export interface KeptParts {
  readonly module: WebAssembly.Module
  readonly globals: readonly string[]
  /** Absent for a module without memory. */
  readonly memory: { readonly initial: number; readonly maximum: number } | undefined
  /** All imports, `rimward.memory` and `rimward.stop` among them. */
  readonly imports: (memory: WebAssembly.Memory | undefined) => WebAssembly.Imports
}

/** An instance of a split module that no program's state is in yet; any program of the same code may become it, once. */
export interface BlankInstance {
  readonly instance: WebAssembly.Instance
  readonly memory: WebAssembly.Memory | undefined
  readonly globals: readonly WebAssembly.Global[]
}

/** Throws what instantiation throws. */
export function openBlank(parts: KeptParts): BlankInstance {
  const memory = parts.memory === undefined ? undefined : new WebAssembly.Memory(parts.memory)
  const instance = new WebAssembly.Instance(parts.module, parts.imports(memory))
  return { instance, memory, globals: globalsOf(instance, parts.globals) }
}

/** Gives a blank instance the state of an image of the same size. Undefined where the kernel refuses to map it. */
export function bindImage({ instance, memory, globals }: BlankInstance, source: ImageSource): KeptInstance | undefined {
  const { state } = source
  const restore = memory === undefined ? () => 0 : openRestore(memory, source)
  if (restore === undefined) return undefined
  const putGlobals = () => {
    for (let at = 0; at < globals.length; at++) globals[at]!.value = state.globals[at]!
  }
  putGlobals()
  const reset = (): ResetOutcome => {
    const bytes = restore()
    if (typeof bytes === 'string') return { ok: false, why: bytes }
    putGlobals()
    return { ok: true, bytes }
  }
  return { instance, memory, reset }
}

type Restore = () => number | 'memory-grew' | 'kernel-refused'

function openRestore(memory: WebAssembly.Memory, { state, strategy, mapped }: ImageSource): Restore | undefined {
  const image = state.memory
  if (memory.buffer.byteLength !== image.length) return undefined
  if (mapped !== undefined) return restoreMapped(memory, mapped)
  const put = strategy === 'compare' ? putDifferent : putAll
  let bytes = new Uint8Array(memory.buffer)
  bytes.set(image)
  return () => {
    // A buffer that was detached has length 0: by growth, or by growth of nothing.
    if (bytes.length !== image.length) {
      if (memory.buffer.byteLength !== image.length) return 'memory-grew'
      bytes = new Uint8Array(memory.buffer)
    }
    return put(bytes, image)
  }
}

function restoreMapped(memory: WebAssembly.Memory, mapped: MappedImage): Restore | undefined {
  const laid = mapped.map(memory)
  if (laid === undefined) return undefined
  return () => {
    const pages = laid.restore()
    if (pages !== undefined) return pages * 4096
    return memory.buffer.byteLength === mapped.bytes.length ? 'kernel-refused' : 'memory-grew'
  }
}

function putAll(bytes: Uint8Array, image: Uint8Array): number {
  bytes.set(image)
  return image.length
}

/** Pages of 64 KiB are compared first, so that most of the memory takes few calls. Sizes are multiples of it. */
function putDifferent(bytes: Uint8Array, image: Uint8Array): number {
  const ours = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  let written = 0
  for (let large = 0; large < image.length; large += 65_536) {
    if (ours.compare(image, large, large + 65_536, large, large + 65_536) === 0) continue
    for (let at = large; at < large + 65_536; at += 4096) {
      if (ours.compare(image, at, at + 4096, at, at + 4096) === 0) continue
      bytes.set(image.subarray(at, at + 4096), at)
      written += 4096
    }
  }
  return written
}
