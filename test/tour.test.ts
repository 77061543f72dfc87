/**
 * The tour of the README, typed into a shell as it stands there: what it shows is what comes.
 */
// needs: curl
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
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

  const ports: [string, string][] = []
  const here = (text: string) =>
    ports.reduce((changed, [shown, actual]) => changed.replaceAll(`:${shown}`, `:${actual}`), text)
  const [start, ...blocks] = consoleBlocks(readFileSync(join(root, 'README.md'), 'utf8'))
  assert.match(start?.[0]?.command ?? '', /^npx rimward up --https 127\.0\.0\.1:8443$/)
  await startShown(t, folder, start![0]!, ports, here)

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
    if (step.command.startsWith('npx rimward up ')) await startShown(t, folder, step, ports, here)
    else await shell.type({ command: here(step.command), shows: step.shows.map((line) => here(line)) })
})

interface Step {
  readonly command: string
  readonly shows: readonly string[]
}

/** Starts what the command starts, on ports of its own, which are noted; what it shows must come. */
async function startShown(
  t: TestContext,
  folder: string,
  step: Step,
  ports: [string, string][],
  here: (text: string) => string,
): Promise<void> {
  const flag = (name: string) => new RegExp(`--${name} (\\S+)`).exec(step.command)?.[1]
  const portOf = (address: string) => Number(address.split(':').at(-1))
  const [data, pops, https] = [flag('data') ?? './.rimward', flag('pops'), flag('https')]
  const node = await startNode(t, {
    data: join(folder, data),
    args: [...(pops ? ['--pops', pops] : []), ...(https ? ['--https', '127.0.0.1:0'] : [])],
  })
  const file = JSON.parse(readFileSync(join(folder, data, 'node.json'), 'utf8')) as { pops: { http: string }[] }
  const note = (shown: number, actual: string) => ports.push([String(shown), new URL(actual).port])
  for (const [index, { http }] of file.pops.entries()) note(portOf(flag('http') ?? ':8080') + index, http)
  if (https !== undefined) note(portOf(https), node.addresses.https!)
  note(portOf(flag('api') ?? ':8081'), node.addresses.api)
  const shows = step.shows.map((line) => here(line).replaceAll(`${data}/token`, `${node.data}/token`))
  const envLine = /^ {2}eval /
  const missing = missingLine(
    shows.filter((line) => !envLine.test(line)),
    node.output(),
  )
  assert.equal(missing, undefined, node.output())
}

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
