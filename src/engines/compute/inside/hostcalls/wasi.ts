/** `wasi_snapshot_preview1`: what compilers' standard libraries need. No files, no sockets. */
import { randomFillSync } from 'node:crypto'
import type { HostcallModule } from '../hostcall.ts'
import { GuestExit, type Sandbox } from '../sandbox.ts'
import { HostcallError, type Status } from '../status.ts'

/** Error numbers of WASI preview 1. */
const errno = { success: 0, badf: 8, inval: 28, fault: 21, nosys: 52, spipe: 70 } as const

type WasiCall = (sandbox: Sandbox, ...args: never[]) => number | undefined

/** WASI's own error numbers come back instead of Fastly's. */
function guarded(calls: Readonly<Record<string, WasiCall>>): HostcallModule['calls'] {
  const wrapped: Record<string, HostcallModule['calls'][string]> = {}
  for (const [name, call] of Object.entries(calls))
    wrapped[name] = (sandbox, ...args) => {
      try {
        return (call(sandbox, ...(args as never[])) ?? errno.success) as Status
      } catch (thrown) {
        if (thrown instanceof HostcallError) return errno.fault as unknown as Status
        throw thrown
      }
    }
  return wrapped
}

const encoder = new TextEncoder()

/** Zero-ended texts and where each begins. */
function giveTexts(sandbox: Sandbox, texts: readonly string[], pointers: number, buffer: number): void {
  let at = buffer
  for (const [index, text] of texts.entries()) {
    sandbox.memory.u32(pointers + index * 4, at)
    const bytes = encoder.encode(`${text}\0`)
    sandbox.memory.write(at, bytes)
    at += bytes.length
  }
}

function giveSizes(sandbox: Sandbox, texts: readonly string[], count: number, bytes: number): void {
  sandbox.memory.u32(count, texts.length)
  sandbox.memory.u32(
    bytes,
    texts.reduce((sum, text) => sum + encoder.encode(text).length + 1, 0),
  )
}

/** What `FASTLY_*` variables say. https://www.fastly.com/documentation/reference/compute/ecp-env/ */
function environment({ program, run }: Sandbox): string[] {
  const { facts } = program
  return [
    `FASTLY_CACHE_GENERATION=0`,
    `FASTLY_CUSTOMER_ID=${facts.customer}`,
    `FASTLY_HOSTNAME=${facts.hostname}`,
    `FASTLY_IS_STAGING=0`,
    `FASTLY_POP=${facts.pop}`,
    `FASTLY_REGION=${facts.region}`,
    `FASTLY_SERVICE_ID=${facts.service.id}`,
    `FASTLY_SERVICE_VERSION=${facts.service.version}`,
    `FASTLY_TRACE_ID=${run.requestId}`,
  ]
}

const programName = ['main.wasm']

export const wasi: HostcallModule = {
  name: 'wasi_snapshot_preview1',
  calls: guarded({
    args_get: (sandbox, pointers: number, buffer: number) =>
      giveTexts(sandbox, programName, pointers, buffer) as undefined,
    args_sizes_get: (sandbox, count: number, bytes: number) =>
      giveSizes(sandbox, programName, count, bytes) as undefined,
    environ_get: (sandbox, pointers: number, buffer: number) =>
      giveTexts(sandbox, environment(sandbox), pointers, buffer) as undefined,
    environ_sizes_get: (sandbox, count: number, bytes: number) =>
      giveSizes(sandbox, environment(sandbox), count, bytes) as undefined,
    clock_res_get(sandbox, _clock: number, out: number) {
      sandbox.memory.u64(out, 1000n)
      return undefined
    },
    clock_time_get(sandbox, clock: number, _precision: bigint, out: number) {
      const ms = clock === 0 ? Date.now() : performance.now()
      sandbox.memory.u64(out, BigInt(Math.round(ms * 1000)) * 1000n)
      return undefined
    },
    random_get(sandbox, pointer: number, length: number) {
      randomFillSync(sandbox.memory.bytes(pointer, length))
      return undefined
    },
    proc_exit(_sandbox, code: number) {
      throw new GuestExit(code)
    },
    sched_yield: () => undefined,
    fd_write(sandbox, fd: number, vectors: number, count: number, written: number) {
      if (fd !== 1 && fd !== 2) return errno.badf
      let sum = 0
      const parts: Uint8Array[] = []
      for (let index = 0; index < count >>> 0; index++) {
        const pointer = sandbox.memory.readU32(vectors + index * 8)
        const length = sandbox.memory.readU32(vectors + index * 8 + 4)
        parts.push(sandbox.memory.copy(pointer, length))
        sum += length
      }
      sandbox.output(fd === 1 ? 'stdout' : 'stderr', Buffer.concat(parts))
      sandbox.memory.u32(written, sum)
      return undefined
    },
    fd_read: (sandbox, fd: number, _vectors: number, _count: number, read: number) => {
      if (fd !== 0) return errno.badf
      sandbox.memory.u32(read, 0)
      return undefined
    },
    fd_close: (_sandbox, fd: number) => (fd <= 2 ? undefined : errno.badf),
    fd_seek: (_sandbox, fd: number) => (fd <= 2 ? errno.spipe : errno.badf),
    fd_fdstat_get(sandbox, fd: number, out: number) {
      if (fd > 2) return errno.badf
      sandbox.memory.bytes(out, 24).fill(0)
      // A character device; all rights.
      sandbox.memory.u8(out, 2)
      sandbox.memory.u64(out + 8, 0xffff_ffff_ffff_ffffn)
      return undefined
    },
    fd_fdstat_set_flags: (_sandbox, fd: number) => (fd <= 2 ? undefined : errno.badf),
    fd_prestat_get: () => errno.badf,
    fd_prestat_dir_name: () => errno.badf,
    path_open: () => errno.nosys,
    poll_oneoff: () => errno.nosys,
  }),
}
