import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Call, callAll, out } from './call-sequence.fixture.ts'
import { openHost } from './host.fixture.ts'

const w = 'wasi_snapshot_preview1'
const errno = { success: 0, badf: 8, fault: 21, inval: 28, nosys: 52, notdir: 54, notsock: 57, spipe: 70 } as const

/** A subscription of `poll_oneoff` to a clock: userdata, tag, id, timeout, precision, flags. */
const clock = (userdata: bigint, id: number, ns: bigint, flags = 0) => [userdata, 0n, id, 0, ns, 0n, flags, 0]
const descriptor = (userdata: bigint, tag: number, fd: number) => [userdata, BigInt(tag), fd, 0, 0n, 0n, 0n]

test('arguments, environment, clocks, randomness', async (t) => {
  const stage = await openHost(t)
  const texts = (call: string): Call[] => [
    [`${w}.${call}_sizes_get`, out(`${call} count`), out(`${call} bytes`)],
    [`${w}.${call}_get`, { place: `${call} pointers`, size: 128 }, { place: `${call} texts`, size: 1024 }],
  ]
  const outcome = await callAll(stage, [
    ...texts('args'),
    ...texts('environ'),
    [`${w}.clock_time_get`, 0, 1n, out('real')],
    [`${w}.clock_time_get`, 1, 1n, out('monotonic')],
    [`${w}.clock_time_get`, 3, 1n, out('cpu')],
    [`${w}.clock_time_get`, 9, 1n, out('x')],
    [`${w}.clock_res_get`, 0, out('resolution')],
    [`${w}.clock_res_get`, 9, out('x')],
    [`${w}.random_get`, { place: 'one', size: 32 }, 32],
    [`${w}.random_get`, { place: 'two', size: 32 }, 32],
    [`${w}.sched_yield`],
    [`${w}.proc_raise`, 1],
    [`${w}.random_get`, -1, 32],
  ])
  const { success, inval, nosys, fault } = errno
  assert.deepEqual(outcome.statuses, [
    ...new Array(7).fill(success),
    inval,
    success,
    inval,
    ...new Array(3).fill(success),
    nosys,
    fault,
  ])
  assert.equal(outcome.u32('args count'), 1)
  const environment = Buffer.from(outcome.bytes('environ texts')).toString().slice(0, outcome.u32('environ bytes'))
  assert.equal(environment.split('\0').length - 1, outcome.u32('environ count'))
  assert.match(environment, /FASTLY_SERVICE_ID=service-calls\0/)
  assert.match(environment, /FASTLY_TRACE_ID=0123456789abcdef\0/)
  assert.ok(Math.abs(Number(outcome.u64('real') / 1_000_000n) - Date.now()) < 60_000)
  assert.ok(outcome.u64('cpu') < 50_000_000n)
  assert.notDeepEqual(outcome.bytes('one'), outcome.bytes('two'))
})

test('the three standard streams; everything else is no descriptor', async (t) => {
  const stage = await openHost(t)
  const { success, badf, inval, notdir, notsock, spipe } = errno
  const cases: [Call, number][] = [
    [[`${w}.fd_write`, 1, { struct: ['hello\n', 'there\n'] }, 2, out('written')], success],
    [[`${w}.fd_write`, 5, { struct: ['hello\n'] }, 1, out('x')], badf],
    [[`${w}.fd_read`, 0, { struct: [0, 0] }, 1, out('read')], success],
    [[`${w}.fd_read`, 3, { struct: [0, 0] }, 1, out('x')], badf],
    [[`${w}.fd_fdstat_get`, 1, { place: 'fdstat', size: 24 }], success],
    [[`${w}.fd_fdstat_get`, 3, { place: 'fdstat', size: 24 }], badf],
    [[`${w}.fd_filestat_get`, 1, { place: 'filestat', size: 64 }], success],
    [[`${w}.fd_filestat_get`, 4, { place: 'filestat', size: 64 }], badf],
    [[`${w}.fd_fdstat_set_flags`, 1, 4], success],
    [[`${w}.fd_fdstat_set_rights`, 1, 0n, 0n], success],
    [[`${w}.fd_filestat_set_size`, 1, 0n], inval],
    [[`${w}.fd_filestat_set_times`, 1, 0n, 0n, 0], inval],
    [[`${w}.fd_advise`, 1, 0n, 0n, 0], spipe],
    [[`${w}.fd_allocate`, 1, 0n, 0n], spipe],
    [[`${w}.fd_datasync`, 1], success],
    [[`${w}.fd_sync`, 1], success],
    [[`${w}.fd_pread`, 0, 0, 0, 0n, out('x')], spipe],
    [[`${w}.fd_pwrite`, 1, 0, 0, 0n, out('x')], spipe],
    [[`${w}.fd_seek`, 1, 0n, 0, out('x')], spipe],
    [[`${w}.fd_tell`, 1, out('x')], spipe],
    [[`${w}.fd_renumber`, 1, 2], inval],
    [[`${w}.fd_readdir`, 1, 0, 0, 0n, out('x')], notdir],
    [[`${w}.fd_prestat_get`, 3, out('x')], badf],
    [[`${w}.fd_prestat_dir_name`, 3, 0, 0], badf],
    [[`${w}.path_open`, 3, 0, 'file', 0, 0n, 0n, 0, out('x')], badf],
    [[`${w}.path_open`, 1, 0, 'file', 0, 0n, 0n, 0, out('x')], notdir],
    [[`${w}.path_create_directory`, 3, 'd'], badf],
    [[`${w}.path_filestat_get`, 3, 0, 'd', out('x')], badf],
    [[`${w}.path_filestat_set_times`, 3, 0, 'd', 0n, 0n, 0], badf],
    [[`${w}.path_link`, 3, 0, 'd', 3, 'e'], badf],
    [[`${w}.path_readlink`, 3, 'd', 0, 0, out('x')], badf],
    [[`${w}.path_remove_directory`, 3, 'd'], badf],
    [[`${w}.path_rename`, 3, 'd', 3, 'e'], badf],
    [[`${w}.path_symlink`, 'd', 3, 'e'], badf],
    [[`${w}.path_unlink_file`, 3, 'd'], badf],
    [[`${w}.sock_accept`, 3, 0, out('x')], badf],
    [[`${w}.sock_recv`, 0, 0, 0, 0, out('x'), out('x')], notsock],
    [[`${w}.sock_send`, 1, 0, 0, 0, out('x')], notsock],
    [[`${w}.sock_shutdown`, 1, 0], notsock],
    [[`${w}.fd_close`, 1], success],
    [[`${w}.fd_close`, 7], badf],
  ]
  const outcome = await callAll(
    stage,
    cases.map(([call]) => call),
  )
  for (const [index, [[name], expected]] of cases.entries()) assert.equal(outcome.statuses[index], expected, name)
  assert.equal(outcome.u32('written'), 12)
  assert.deepEqual([outcome.bytes('fdstat')[0], outcome.bytes('filestat')[16]], [2, 2])
})

test('a short write: no call copies more than 64 KiB, however many vectors it names', async (t) => {
  const stage = await openHost(t)
  const outcome = await callAll(stage, [
    // Every vector is the whole memory.
    [`${w}.fd_write`, 1, { struct: new Array(16).fill([0, 200_000]).flat() }, 16, out('written')],
    [`${w}.fd_write`, 1, { struct: [0, 0] }, -1, out('empty')],
  ])
  assert.deepEqual([outcome.statuses[0], outcome.u32('written')], [0, 65_536])
})

test('poll_oneoff: sleeps until the first clock, streams are ready at once', async (t) => {
  const stage = await openHost(t)
  const poll = (name: string, subscriptions: (number | bigint)[][]): Call => [
    `${w}.poll_oneoff`,
    { struct: subscriptions.flat() },
    { place: name, size: 96 },
    subscriptions.length,
    out(`${name} count`),
  ]
  const began = performance.now()
  const outcome = await callAll(stage, [
    poll('slept', [clock(7n, 1, 30_000_000n), clock(8n, 1, 3_600_000_000_000n)]),
    poll('past', [clock(1n, 0, 1n, 1)]),
    poll('streams', [
      clock(2n, 1, 3_600_000_000_000n),
      descriptor(3n, 1, 0),
      descriptor(4n, 2, 1),
      descriptor(5n, 1, 9),
    ]),
    poll('wrong clock', [clock(6n, 42, 0n)]),
    [`${w}.poll_oneoff`, 0, 0, 0, out('x')],
  ])
  assert.ok(performance.now() - began >= 30)
  assert.deepEqual(outcome.statuses, [0, 0, 0, 0, errno.inval])
  const events = (name: string) =>
    Array.from({ length: outcome.u32(`${name} count`) }, (_, index) => {
      const event = Buffer.from(outcome.bytes(name)).subarray(index * 32)
      return [event.readBigUInt64LE(0), event.readUInt16LE(8), event[10]]
    })
  assert.deepEqual(events('slept'), [[7n, 0, 0]])
  assert.deepEqual(events('past'), [[1n, 0, 0]])
  assert.deepEqual(events('streams'), [
    [3n, 0, 1],
    [4n, 0, 2],
    [5n, errno.badf, 1],
  ])
  assert.deepEqual(events('wrong clock'), [[6n, errno.inval, 0]])
})

test('a program that sleeps when its client leaves is ended, and its timer with it', async (t) => {
  const stage = await openHost(t)
  const leaving = new AbortController()
  const sleeping = callAll(
    stage,
    [
      [`${w}.fd_write`, 1, { struct: ['asleep\n'] }, 1, out('n')],
      [`${w}.poll_oneoff`, { struct: clock(1n, 1, 3_600_000_000_000n) }, { place: 'events', size: 32 }, 1, out('x')],
    ],
    { request: { signal: leaving.signal } },
  )
  while (stage.printed.length === 0) await new Promise(setImmediate)
  leaving.abort()
  await assert.rejects(sleeping)
})
