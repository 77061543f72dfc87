/**
 * The tour of the README, typed into a shell as it stands there: what it shows is what comes.
 */
// needs: curl
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { root, startNode, temporaryFolder } from './support/node.ts'
import { consoleBlocks, linePattern, missingLine, openShell } from './support/shell-session.ts'

test('every command of the README runs and shows what stands there', { timeout: 170_000 }, async (t) => {
  const folder = await temporaryFolder(t, 'tour')
  cpSync(join(root, 'examples'), join(folder, 'examples'), { recursive: true })
  // npx finds commands here, as it does in the folder of the project after `npm ci`.
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true })
  symlinkSync(join(root, 'bin/rimward.mjs'), join(folder, 'node_modules/.bin/rimward'))
  for (const command of ['wrangler', 'fastly', 'js-compute-runtime'])
    symlinkSync(realpathSync(join(root, 'node_modules/.bin', command)), join(folder, 'node_modules/.bin', command))

  const [start, ...blocks] = consoleBlocks(readFileSync(join(root, 'README.md'), 'utf8'))
  assert.match(start?.[0]?.command ?? '', /^npx rimward up --https 127\.0\.0\.1:8443$/)
  const node = await startNode(t, { data: join(folder, '.rimward'), args: ['--https', '127.0.0.1:0'] })
  const { http, https, api } = node.addresses
  const ports: readonly [string, string][] = [
    ['8080', new URL(http).port],
    ['8443', new URL(https!).port],
    ['8081', new URL(api).port],
  ]
  const here = (text: string) =>
    ports.reduce((changed, [shown, actual]) => changed.replaceAll(`:${shown}`, `:${actual}`), text)
  const shows = start![0]!.shows.map((line) => here(line).replaceAll('./.rimward', node.data))
  const envLine = /^ {2}eval /
  assert.equal(
    missingLine(
      shows.filter((line) => !envLine.test(line)),
      node.output(),
    ),
    undefined,
    node.output(),
  )

  // On a terminal curl shows no progress; here it writes to a pipe.
  writeFileSync(join(folder, '.curlrc'), 'silent\nshow-error\n')
  const shell = openShell({
    cwd: folder,
    env: {
      PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      HOME: folder,
      NO_COLOR: '1',
      CI: 'true',
      npm_config_update_notifier: 'false',
      // Spares the five seconds in which the CLI tells about its statistics.
      FASTLY_WASM_METADATA_DISABLE: 'true',
    },
  })
  t.after(() => shell.end())
  for (const step of blocks.flat())
    await shell.type({ command: here(step.command), shows: step.shows.map((line) => here(line)) })
})

test('lines are compared but for what differs from run to run', () => {
  const cases: readonly [shown: string, came: string, same: boolean][] = [
    ['Uploaded visits (0.18 sec)', 'Uploaded visits (12 sec)', true],
    ['Uploaded visits (0.18 sec)', 'Uploaded others (12 sec)', false],
    ['{"count":1}', '{"count":2}', false],
    ['id c95fe0c960c651ef · local', 'id 0000000000000000 · local', true],
    ['06:40:02.193 GET / → 200', '16:41:12.003 GET / → 200', true],
    ['it did not catch…', 'it did not catch, or never answered.', true],
    ['http://127.0.0.1:8080', 'http://127.0.0.1:9999', false],
  ]
  for (const [shown, came, same] of cases) assert.equal(linePattern(shown).test(came), same, shown)
  assert.equal(missingLine(['a', '…', 'c'], 'a\nb\nc\n'), undefined)
  assert.equal(missingLine(['a', 'a', 'b'], 'a\nb\nc\n'), 'a')
})
