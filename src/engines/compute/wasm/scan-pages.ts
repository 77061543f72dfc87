/**
 * The kernel's view of an instance's memory, by `node:ffi`: an image mapped copy-on-write over it, and the pages that were
 * written since. mmap(2), madvise(2), memfd_create(2), PAGEMAP_SCAN in Documentation/admin-guide/mm/pagemap.rst (Linux 6.7).
 */
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { endianness } from 'node:os'
import type { Limits } from '#/core/limits.ts'

const pageBytes = 4096

/** An image that instances share: its unwritten pages lie in memory once. */
export interface MappedImage {
  readonly bytes: Uint8Array
  /** Lays the image over the whole memory of an instance. Undefined where the kernel refuses, and after `close`. */
  map(memory: WebAssembly.Memory): MappedMemory | undefined
  /** No new mappings after this; those that exist go on. */
  close(): void
}

export interface MappedMemory {
  /** Makes the memory equal to the image; tells how many pages were written. Undefined: drop the instance. */
  restore(): number | undefined
}

export interface PageScan {
  /** Copies the bytes into a file in memory. */
  openImage(bytes: Uint8Array): MappedImage | undefined
  /** Maps a file that nobody ever writes again; undefined where it is not there or has another size. */
  openImageFile(path: string, bytes: number): MappedImage | undefined
  /** Nothing is scanned after this: no mapping can be restored any more. */
  close(): void
}

/** Why instances of programs are not reset in place on this machine; undefined: they are. */
export function missingPageScan(limits: PageScanLimits): string | undefined {
  const opened = openPageScan(limits)
  if (!opened.ok) return opened.why
  opened.scan.close()
  return undefined
}

export type PageScanOutcome =
  | { readonly ok: true; readonly scan: PageScan }
  /** `why` is a sentence for `rimward up`. */
  | { readonly ok: false; readonly why: string }

export type PageScanLimits = Pick<Limits, 'computeDropPages'>

const constants = {
  readOnly: 1,
  readWrite: 3,
  shared: 1,
  privateFixed: 0x12,
  /** MFD_CLOEXEC | MFD_ALLOW_SEALING */
  memfd: 3,
  /** MADV_DONTNEED: written pages of a private mapping become the file's again. */
  dontNeed: 4,
  addSeals: 1033,
  /** F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE */
  seals: 15,
  /** _IOWR('f', 16, struct pm_scan_arg) */
  pagemapScan: 0xc0606610n,
  failed: 0xffff_ffff_ffff_ffffn,
} as const

/** Bits of a page's categories. */
const category = { file: 4n, present: 8n, swapped: 16n } as const

type Ffi = typeof import('node:ffi')

function openLibrary(ffi: Ffi) {
  // Held whole: the functions are valid as long as their library is.
  return ffi.dlopen(null, {
    mmap: { arguments: ['u64', 'u64', 'i32', 'i32', 'i32', 'i64'], return: 'u64' },
    munmap: { arguments: ['u64', 'u64'], return: 'i32' },
    madvise: { arguments: ['u64', 'u64', 'i32'], return: 'i32' },
    memfd_create: { arguments: ['string', 'u32'], return: 'i32' },
    ioctl: { arguments: ['i32', 'u64', 'u64'], return: 'i32' },
    fcntl: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
  })
}

interface Kernel {
  readonly ffi: Ffi
  readonly library: ReturnType<typeof openLibrary>
  readonly call: ReturnType<typeof openLibrary>['functions']
  readonly pagemap: number
}

/** Tries everything once, on a memory of its own. Never throws: what is missing is the outcome. */
export function openPageScan(limits: PageScanLimits): PageScanOutcome {
  if (process.platform !== 'linux') return { ok: false, why: `${process.platform} has no PAGEMAP_SCAN; Linux 6.7 has` }
  if (endianness() !== 'LE') return { ok: false, why: 'the processor is big-endian' }
  let kernel: Kernel
  try {
    const ffi = createRequire(import.meta.url)('node:ffi') as Ffi
    const library = openLibrary(ffi)
    kernel = { ffi, library, call: library.functions, pagemap: openSync('/proc/self/pagemap', 'r') }
  } catch (thrown) {
    return { ok: false, why: `node:ffi or /proc/self/pagemap cannot be used: ${(thrown as Error).message}` }
  }
  const scan: PageScan = {
    openImage: (bytes) => openImage(kernel, limits, bytes),
    close: () => closeSync(kernel.pagemap),
    openImageFile: (path, bytes) => openImageFile(kernel, limits, path, bytes),
  }
  const why = tryOnce(scan)
  if (why === undefined) return { ok: true, scan }
  closeSync(kernel.pagemap)
  return { ok: false, why }
}

function tryOnce(scan: PageScan): string | undefined {
  const image = scan.openImage(new Uint8Array(65_536).fill(1))
  if (image === undefined) return 'memfd_create or mmap is refused'
  try {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
    const mapped = image.map(memory)
    if (mapped === undefined) return 'mmap over a memory is refused'
    const bytes = new Uint8Array(memory.buffer)
    bytes[5 * pageBytes] = 2
    const pages = mapped.restore()
    if (pages === undefined) return 'the kernel has no PAGEMAP_SCAN (Linux 6.7 or later has)'
    return pages === 1 && bytes.every((byte) => byte === 1) ? undefined : 'PAGEMAP_SCAN does not find what was written'
  } finally {
    image.close()
  }
}

function openImage(kernel: Kernel, limits: PageScanLimits, bytes: Uint8Array): MappedImage | undefined {
  const { call } = kernel
  const file = call.memfd_create('rimward-image', constants.memfd)
  if (file < 0) return undefined
  writeUsed(file, bytes)
  call.fcntl(file, constants.addSeals, constants.seals)
  return mapFile(kernel, limits, file, bytes.length)
}

function openImageFile(kernel: Kernel, limits: PageScanLimits, path: string, bytes: number): MappedImage | undefined {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return undefined
  }
  // Pages beyond the end of a file cannot be touched.
  if (fstatSync(file).size === bytes) return mapFile(kernel, limits, file, bytes)
  closeSync(file)
  return undefined
}

/** Takes over the descriptor. */
function mapFile(kernel: Kernel, limits: PageScanLimits, file: number, bytes: number): MappedImage | undefined {
  const { ffi, call } = kernel
  let open = true
  // The number may name another file after this, so nothing maps it again.
  const close = () => {
    if (open) closeSync(file)
    open = false
  }
  const address = call.mmap(0n, BigInt(bytes), constants.readOnly, constants.shared, file, 0n)
  if (address === constants.failed) {
    close()
    return undefined
  }
  const view = ffi.toArrayBuffer(address, bytes, false)
  unmapLater(call, view, address)
  const image = new Uint8Array(view)
  return { bytes: image, close, map: (memory) => (open ? mapImage(kernel, limits, memory, image, file) : undefined) }
}

/** Pages of nothing but 0 stay holes, which take no memory: more than half of a JavaScript program's image. */
function writeUsed(file: number, bytes: Uint8Array): void {
  ftruncateSync(file, bytes.length)
  const zero = Buffer.alloc(pageBytes)
  const isUsed = (page: number) => page < bytes.length && zero.compare(bytes, page, page + pageBytes) !== 0
  for (let page = 0; page < bytes.length; page += pageBytes) {
    const start = page
    while (isUsed(page)) page += pageBytes
    for (let at = start; at < page; ) at += writeSync(file, bytes, at, page - at, at)
  }
}

/** The mapping ends when nobody can read it any more, so that no view of it ever points nowhere. */
const views = new FinalizationRegistry<() => void>((unmap) => unmap())

function unmapLater(call: Kernel['call'], view: ArrayBuffer, address: bigint): void {
  const length = BigInt(view.byteLength)
  views.register(view, () => call.munmap(address, length))
}

function mapImage(
  kernel: Kernel,
  limits: PageScanLimits,
  memory: WebAssembly.Memory,
  image: Uint8Array,
  file: number,
): MappedMemory | undefined {
  const { ffi, call } = kernel
  if (memory.buffer.byteLength !== image.length) return undefined
  // Neither growth nor the collector moves the memory: it lies in a reservation that `memory`, held below, keeps.
  const base = ffi.getRawPointer(memory.buffer)
  const length = BigInt(image.length)
  const laid = call.mmap(base, length, constants.readWrite, constants.privateFixed, file, 0n)
  if (laid === constants.failed) return undefined
  const scan = createScan(kernel, base, length)
  let bytes = new Uint8Array(memory.buffer)
  return {
    restore() {
      // A buffer that was detached has length 0: by growth, or by growth of nothing.
      if (bytes.length !== image.length) {
        if (memory.buffer.byteLength !== image.length) return undefined
        bytes = new Uint8Array(memory.buffer)
      }
      let pages = 0
      for (let from = 0; from < image.length; from = scan.reached()) {
        const regions = scan.next(from)
        if (regions < 0 || scan.reached() <= from) return undefined
        pages += scan.pages(regions)
        if (pages > limits.computeDropPages)
          return call.madvise(base, length, constants.dontNeed) === 0 ? pages : undefined
        for (let at = 0; at < regions; at++) {
          const start = scan.start(at)
          bytes.set(image.subarray(start, scan.end(at)), start)
        }
      }
      return pages
    },
  }
}

const regionsAtOnce = 1024

/**
 * struct pm_scan_arg and the page_regions that it points to. Their buffers lie outside V8's heap, where nothing moves
 * them, and live as long as this scan.
 */
function createScan({ ffi, call, pagemap }: Kernel, base: bigint, length: bigint) {
  const found = new BigUint64Array(new ArrayBuffer(regionsAtOnce * 24))
  const halves = new Uint32Array(found.buffer)
  const request = new BigUint64Array(new ArrayBuffer(96))
  const address = ffi.getRawPointer(request.buffer)
  // Written is what is no more a page of the file: present or swapped out, but anonymous.
  request.set([96n, 0n, base, base + length, 0n, ffi.getRawPointer(found.buffer), BigInt(regionsAtOnce), 0n])
  request.set([category.file, category.file, category.present | category.swapped, category.file], 8)
  const baseLow = Number(base & 0xffff_ffffn)
  const baseHigh = Number(base >> 32n)
  const offset = (word: number) => (halves[word + 1]! - baseHigh) * 2 ** 32 + halves[word]! - baseLow
  return {
    /** Fills the regions from an offset on; tells how many there are, below 0 for an error. */
    next(from: number): number {
      request[2] = base + BigInt(from)
      return call.ioctl(pagemap, constants.pagemapScan, address)
    },
    /** The offset up to which the last scan went. */
    reached: () => Number(request[4]! - base),
    start: (region: number) => offset(region * 6),
    end: (region: number) => offset(region * 6 + 2),
    pages(regions: number): number {
      let bytes = 0
      for (let at = 0; at < regions; at++) bytes += offset(at * 6 + 2) - offset(at * 6)
      return bytes / pageBytes
    },
  }
}
