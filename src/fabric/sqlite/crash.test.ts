import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { openSqliteFabric } from './fabric.ts'

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-crash-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const child = (name: string) => join(import.meta.dirname, `${name}.child.ts`)

/** Runs the child until it printed so many lines, kills it, and returns all the whole lines it printed. */
async function writeAndKill(folder: string, round: number, lines: number): Promise<string[]> {
  const writer = spawn(process.execPath, [child('write-until-killed'), folder, `${round}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  writer.stdout.setEncoding('utf8').on('data', (text) => {
    printed += text
    if (printed.split('\n').length > lines) writer.kill('SIGKILL')
  })
  await once(writer, 'close')
  assert.equal(writer.signalCode, 'SIGKILL')
  return printed.split('\n').slice(0, -1)
}

test('after SIGKILL everything acknowledged is there, and the folder opens at once', async (t) => {
  const folder = await temporaryFolder(t)
  const acknowledged: string[] = []
  for (const [round, lines] of [50, 400, 1500, 120, 700].entries()) {
    acknowledged.push(...(await writeAndKill(folder, round, lines)))
    const fabric = await openSqliteFabric({ folder, clock: Date.now, limits: defaultLimits })
    for (const line of acknowledged) {
      const [kind, name] = line.split(' ') as [string, string]
      if (kind === 'blob') assert.ok(await fabric.blobs.get(name), line)
      else
        assert.match(
          Buffer.from((await fabric.bucket('crash').get(name))!.value).toString(),
          new RegExp(`^(${name})+$`),
        )
    }
    await fabric.close()
    const database = new DatabaseSync(join(folder, 'fabric.db'))
    assert.equal(Object.values(database.prepare('PRAGMA integrity_check').get()!)[0], 'ok')
    database.close()
  }
  assert.ok(acknowledged.some((line) => line.startsWith('blob')))
})

test('a folder that another process has is refused, until that process is gone', async (t) => {
  const folder = await temporaryFolder(t)
  const options = { folder, clock: Date.now, limits: defaultLimits }
  const holder = spawn(process.execPath, [child('write-until-killed'), folder, '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => holder.kill('SIGKILL'))
  holder.stdout.resume()
  await once(holder.stdout, 'data')
  await assert.rejects(openSqliteFabric(options), { code: 'folder_in_use', message: /Another Rimward runs on/ })
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  await (await openSqliteFabric(options)).close()
})

test('a full disk is storage_full; nothing half-stored, and the rest goes on', async (t) => {
  const folder = await temporaryFolder(t)
  // 2 MiB a file (ulimit counts in 512 bytes, POSIX): the write fails as on a full disk, without a disk of our own.
  const command = ['-c', 'ulimit -f 4096; exec "$0" "$@"', process.execPath, child('fill-the-disk'), folder]
  const run = spawnSync('sh', command, { encoding: 'utf8' })
  assert.equal(run.status, 0, run.stderr)
  assert.deepEqual(JSON.parse(run.stdout), {
    kept: true,
    refused: 'storage_full',
    found: true,
    deleted: true,
    small: 'number',
    blob: 'storage_full',
    smallBlob: 5,
    unfinished: 0,
  })
})
