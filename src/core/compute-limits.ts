/** Rows of the table of limits that are about WebAssembly programs; see `limits.ts`. */
import type { LimitRow } from './limits.ts'

const KiB = 1024
const MiB = 1024 * 1024

export const computeLimits = {
  computeWarmUpMs: {
    unit: 'ms',
    default: 100,
    why: "more for each of a program's first 32 requests in a cell, while its functions are compiled",
  },
  computeCpuMs: { unit: 'ms', default: 50, why: 'processor time of one request, as Fastly grants it' },
  computeWallMs: { unit: 'ms', default: 120_000, why: 'longest life of one request of a program, as at Fastly' },
  computeMemoryPages: { unit: 'count', default: 2048, why: '128 MiB of 64 KiB pages, as at Fastly' },
  computeTableEntries: {
    unit: 'count',
    default: 100_000,
    why: 'of all tables of a module, 24 bytes each; the JavaScript SDK has 7,777',
  },
  computeDropPages: {
    unit: 'count',
    default: 1_024,
    why: 'pages of 4 KiB that a request wrote; beyond, forgetting all is quicker than copying them back',
  },
  computeHandles: { unit: 'count', default: 1024, why: 'requests, bodies and stores that one request holds at once' },
  computeBodyBytes: { unit: 'bytes', default: 64 * MiB, why: 'of one body that a program builds in our memory' },
  computeFetches: { unit: 'count', default: 32, why: 'backend requests of one request, as at Fastly' },
  computeFrameBytes: { unit: 'bytes', default: 64 * MiB, why: 'above the largest value of a KV store (25 MiB)' },
  computeWindowBytes: { unit: 'bytes', default: 256 * KiB, why: 'of one body on its way between node and cell' },
  computeLogBytes: { unit: 'bytes', default: 16 * KiB, why: 'longest line of a program; the rest is cut' },
  computeInFlight: {
    unit: 'count',
    default: 1024,
    why: 'requests in one cell; each holds an instance of up to 128 MiB',
  },
  computeRateEntries: {
    unit: 'count',
    default: 65_536,
    why: 'entries of rate counters, 300 bytes each; oldest go first',
  },
  computeRateKeyBytes: {
    unit: 'bytes',
    default: 1024,
    why: 'a counter and an entry of it; addresses and keys are short',
  },
  computeLogQueueBytes: {
    unit: 'bytes',
    default: MiB,
    why: 'lines that wait for one log endpoint; later ones are lost',
  },
  computeLogBatchBytes: { unit: 'bytes', default: 64 * KiB, why: 'one request or write to a log endpoint' },
  computeLogFlushMs: { unit: 'ms', default: 1000, why: 'lines wait so long for others to go with them' },
  computeLogAttempts: { unit: 'count', default: 5, why: 'a batch is tried for half a minute, the pause doubling' },
  computeLogSendMs: { unit: 'ms', default: 10_000, why: 'a log endpoint that takes longer has failed' },
  computeLogIdleMs: { unit: 'ms', default: 60_000, why: 'a syslog connection without lines is closed' },
  computeDevices: { unit: 'count', default: 100_000, why: 'user agents in the file of devices, held in memory' },
  computeSpread: {
    unit: 'count',
    default: 16,
    why: "requests in a program's own cell before another cell takes the next",
  },
  computeIdleInstances: {
    unit: 'count',
    default: 16,
    why: 'of one program in one cell that wait for requests; 8 MB each for JavaScript',
  },
  computeReuseRequests: {
    unit: 'count',
    default: 1_024,
    why: 'of one instance of a program that asks for the next; what it remembers is gone after them',
  },
  computeReuseMs: { unit: 'ms', default: 120_000, why: 'an instance that is that old takes no further request' },
  computeReuseIdleMs: { unit: 'ms', default: 10_000, why: 'longest wait of an instance for the next request' },
  computeIdleMs: { unit: 'ms', default: 60_000, why: 'without a request for so long a program keeps no instances' },
  computeModuleStartMs: { unit: 'ms', default: 1_000, why: "processor time of a module's start function, at deploy" },
  computePingMs: { unit: 'ms', default: 1_000, why: 'how often a busy cell must show that it is alive' },
  computeHangMs: {
    unit: 'ms',
    default: 5_000,
    why: 'silence after which a cell that had half of it on a processor is killed, any other after six times as long',
  },
  computeLaterMs: {
    unit: 'ms',
    default: 10_000,
    why: 'a request that a program sent and did not wait for goes on so long after it ended',
  },
  computeKeepAliveMs: { unit: 'ms', default: 600_000, why: 'an unused connection to a backend; as at Fastly' },
  computeClientKeys: {
    unit: 'count',
    default: 256,
    why: 'keys of registered backends that stay sealed as they are, so that connections are shared',
  },
  computeStartMs: { unit: 'ms', default: 10_000, why: 'a cell starts in 0.1 s; a busy machine gets patience' },
} as const satisfies Record<string, LimitRow>
