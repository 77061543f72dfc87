/**
 * `wasi_snapshot_preview1`: what compilers' standard libraries need. A program has its three standard streams, clocks and
 * randomness; no files and no sockets, so that every descriptor but those three is a bad one.
 */
import { randomFillSync } from 'node:crypto'
import type { ProgramFacts } from '../../protocol.ts'
import type { HostcallModule } from '../hostcall.ts'
import { GuestExit, type Sandbox } from '../sandbox.ts'
import { HostcallError, type Status } from '../status.ts'
import { clockTime, errno } from './wasi-clock.ts'
import { pollOneoff } from './wasi-poll.ts'

// biome-ignore lint/suspicious/noConfusingVoidType: nothing means success
type WasiCall = (sandbox: Sandbox, ...args: never[]) => number | void | Promise<number>

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

/** Zero-ended texts, one after the other, and where each begins. */
interface Texts {
  readonly bytes: Uint8Array
  readonly starts: readonly number[]
}

function textsOf(list: readonly string[]): Texts {
  const ended = list.map((text) => Buffer.from(`${text}\0`))
  const starts: number[] = []
  let next = 0
  for (const { length } of ended) {
    starts.push(next)
    next += length
  }
  return { bytes: Buffer.concat(ended), starts }
}

function giveTexts({ memory }: Sandbox, { bytes, starts }: Texts, pointers: number, buffer: number): void {
  for (let index = 0; index < starts.length; index++) memory.u32(pointers + index * 4, buffer + starts[index]!)
  memory.write(buffer, bytes)
}

function giveSizes({ memory }: Sandbox, { bytes, starts }: Texts, count: number, size: number): void {
  memory.u32(count, starts.length)
  memory.u32(size, bytes.length)
}

/** Of programs' facts: all requests of one have the same environment but for what names the request. */
const environments = new WeakMap<ProgramFacts, Texts>()
const traceName = 'FASTLY_TRACE_ID='

/** What `FASTLY_*` variables say. https://www.fastly.com/documentation/reference/compute/ecp-env/ */
function commonEnvironment(facts: ProgramFacts): Texts {
  const found = environments.get(facts)
  if (found !== undefined) return found
  const made = textsOf([
    `FASTLY_CACHE_GENERATION=0`,
    `FASTLY_CUSTOMER_ID=${facts.customer}`,
    `FASTLY_HOSTNAME=${facts.hostname}`,
    `FASTLY_IS_STAGING=${facts.staged ? 1 : 0}`,
    `FASTLY_POP=${facts.pop}`,
    `FASTLY_REGION=${facts.region}`,
    `FASTLY_SERVICE_ID=${facts.service.id}`,
    `FASTLY_SERVICE_VERSION=${facts.service.version}`,
  ])
  environments.set(facts, made)
  return made
}

function giveEnvironmentSizes(sandbox: Sandbox, count: number, size: number): void {
  const { bytes, starts } = commonEnvironment(sandbox.program.facts)
  const { memory, run } = sandbox
  memory.u32(count, starts.length + 1)
  memory.u32(size, bytes.length + traceName.length + Buffer.byteLength(run.requestId) + 1)
}

function giveEnvironment(sandbox: Sandbox, pointers: number, buffer: number): void {
  const common = commonEnvironment(sandbox.program.facts)
  const { memory, run } = sandbox
  const trace = buffer + common.bytes.length
  giveTexts(sandbox, common, pointers, buffer)
  memory.u32(pointers + common.starts.length * 4, trace)
  memory.write(trace, Buffer.from(`${traceName}${run.requestId}\0`))
}

const programName = textsOf(['main.wasm'])

/** Standard input is empty; the two outputs are lines of a log. */
const isStream = (fd: number) => fd >>> 0 <= 2

/** The answer of a call that needs a file, a folder or a socket, by what the descriptor is instead. */
const onStream = (answer: number) => (_sandbox: Sandbox, fd: number) => (isStream(fd) ? answer : errno.badf)

/** As many vectors as Linux takes in one call (IOV_MAX), and as many bytes: a short write is written on by its caller. */
const most = { vectors: 1024, bytes: 65_536 } as const

/** `fdstat` and `filestat` begin with a character device at these offsets; the rest is zero. */
function giveStat({ memory }: Sandbox, out: number, size: number, typeAt: number): void {
  memory.bytes(out, size).fill(0)
  memory.u8(out + typeAt, 2)
}

export const wasi: HostcallModule = {
  name: 'wasi_snapshot_preview1',
  waits: new Set(['poll_oneoff']),
  calls: guarded({
    args_get: (sandbox, pointers: number, buffer: number) => giveTexts(sandbox, programName, pointers, buffer),
    args_sizes_get: (sandbox, count: number, bytes: number) => giveSizes(sandbox, programName, count, bytes),
    environ_get: giveEnvironment,
    environ_sizes_get: giveEnvironmentSizes,
    clock_res_get(sandbox, clock: number, out: number) {
      if (clockTime(sandbox, clock) === undefined) return errno.inval
      return sandbox.memory.u64(out, 1000n)
    },
    clock_time_get(sandbox, clock: number, _precision: bigint, out: number) {
      const time = clockTime(sandbox, clock)
      return time === undefined ? errno.inval : sandbox.memory.u64(out, time)
    },
    poll_oneoff: pollOneoff,
    random_get(sandbox, pointer: number, length: number) {
      randomFillSync(sandbox.memory.bytes(pointer, length))
    },
    proc_exit(_sandbox, code: number) {
      throw new GuestExit(code)
    },
    proc_raise: () => errno.nosys,
    sched_yield() {},
    fd_write(sandbox, fd: number, vectors: number, count: number, written: number) {
      if (fd !== 1 && fd !== 2) return errno.badf
      let sum = 0
      const parts: Uint8Array[] = []
      for (let index = 0; index < Math.min(count >>> 0, most.vectors) && sum < most.bytes; index++) {
        const pointer = sandbox.memory.readU32(vectors + index * 8)
        const length = sandbox.memory.readU32(vectors + index * 8 + 4)
        const part = sandbox.memory.copy(pointer, Math.min(length, most.bytes - sum))
        parts.push(part)
        sum += part.length
        if (part.length < length) break
      }
      sandbox.output(fd === 1 ? 'stdout' : 'stderr', Buffer.concat(parts))
      return sandbox.memory.u32(written, sum)
    },
    fd_read: (sandbox, fd: number, _vectors: number, _count: number, read: number) =>
      fd === 0 ? sandbox.memory.u32(read, 0) : errno.badf,
    fd_close: onStream(errno.success),
    fd_datasync: onStream(errno.success),
    fd_sync: onStream(errno.success),
    fd_fdstat_get(sandbox, fd: number, out: number) {
      if (!isStream(fd)) return errno.badf
      giveStat(sandbox, out, 24, 0)
      // All rights.
      return sandbox.memory.u64(out + 8, 0xffff_ffff_ffff_ffffn)
    },
    fd_fdstat_set_flags: onStream(errno.success),
    fd_fdstat_set_rights: onStream(errno.success),
    fd_filestat_get: (sandbox, fd: number, out: number) => (isStream(fd) ? giveStat(sandbox, out, 64, 16) : errno.badf),
    fd_filestat_set_size: onStream(errno.inval),
    fd_filestat_set_times: onStream(errno.inval),
    fd_advise: onStream(errno.spipe),
    fd_allocate: onStream(errno.spipe),
    fd_pread: onStream(errno.spipe),
    fd_pwrite: onStream(errno.spipe),
    fd_seek: onStream(errno.spipe),
    fd_tell: onStream(errno.spipe),
    fd_renumber: onStream(errno.inval),
    fd_readdir: onStream(errno.notdir),
    fd_prestat_get: () => errno.badf,
    fd_prestat_dir_name: () => errno.badf,
    path_create_directory: onStream(errno.notdir),
    path_filestat_get: onStream(errno.notdir),
    path_filestat_set_times: onStream(errno.notdir),
    path_link: onStream(errno.notdir),
    path_open: onStream(errno.notdir),
    path_readlink: onStream(errno.notdir),
    path_remove_directory: onStream(errno.notdir),
    path_rename: onStream(errno.notdir),
    path_symlink: (_sandbox, _target: number, _length: number, fd: number) =>
      isStream(fd) ? errno.notdir : errno.badf,
    path_unlink_file: onStream(errno.notdir),
    sock_accept: onStream(errno.notsock),
    sock_recv: onStream(errno.notsock),
    sock_send: onStream(errno.notsock),
    sock_shutdown: onStream(errno.notsock),
  }),
}
