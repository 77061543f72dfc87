import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type UpFlags, up } from './up.ts'

/** What `up` shows of a node that lacks this. */
async function shown(t: { after(work: () => void): void }, lacks: readonly string[]): Promise<readonly string[]> {
  const data = mkdtempSync(join(tmpdir(), 'up-'))
  const lines: string[] = []
  const flags: UpFlags = {
    ...{ data, http: '127.0.0.1:0', api: '127.0.0.1:0', pops: 'local' },
    ...{ log: 'off', logSample: '100', logQuery: 'names', logAddress: 'full' },
  }
  const signals: (() => void)[] = []
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  t.after(async () => {
    signals[0]!()
    await ended
    rmSync(data, { recursive: true, force: true })
  })
  await up(flags, {
    terminal: { env: {}, folder: data, out: (line) => void lines.push(line), err: (line) => void lines.push(line) },
    start: async ({ token }) => ({
      addresses: { http: 'http://127.0.0.1:1', api: 'http://127.0.0.1:2' },
      pops: [{ id: 'local', country: 'XX', http: 'http://127.0.0.1:1' }],
      accountId: 'a',
      token,
      lacks,
      async stop() {},
    }),
    process: {
      pid: process.pid,
      on(_name: string, listener: () => void) {
        signals.push(listener)
        return process
      },
      exit: (() => end()) as unknown as NodeJS.Process['exit'],
    },
    now: () => 0,
  })
  return lines
}

test('the banner says what the machine lacks, and nothing where it lacks nothing', async (t) => {
  const sentence = 'Compute programs run slower here: the kernel is old.'
  assert.ok((await shown(t, [sentence])).includes(`Note      ${sentence}`))
  assert.ok(!(await shown(t, [])).some((line) => line.startsWith('Note')))
})
