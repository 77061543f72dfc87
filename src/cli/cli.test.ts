import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { bin, runCli, startCli } from './run-cli.fixture.ts'

const folder = (context: { after(run: () => void): void }): string => {
  const path = mkdtempSync(join(tmpdir(), 'rimward-cli-'))
  context.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}
const anyPort = ['--http', '127.0.0.1:0', '--api', '127.0.0.1:0']

test('what cannot be understood is one clear sentence and exit code 1', async (t) => {
  const cwd = folder(t)
  const cases: [string[], RegExp][] = [
    [['up', '--bogus'], /^rimward: unknown option '--bogus'/],
    [['flush'], /^rimward: unknown command 'flush'/],
    [['up', '--http', '8080'], /^rimward: --http takes HOST:PORT, such as 127\.0\.0\.1:8080.*got "8080"/],
    [['up', '--api', '127.0.0.1:99999'], /^rimward: --api takes HOST:PORT/],
    [['up', '--pops', 'fra:DE,fra:US'], /^rimward: --pops names "fra" twice/],
    [['up', '--pops', 'fra:Germany'], /^rimward: --pops takes ID or ID:COUNTRY/],
    [['up', '--join', 'http://a'], /^rimward: --join: «http:\/\/a» is no address of a NATS server/],
    [['up', '--log', 'syslog'], /^rimward: --log takes file, stderr or off/],
    [['env'], /^rimward: There is no data folder/],
    [['status'], /^rimward: No rimward runs on the data folder/],
    [['status', '--api', 'nonsense'], /^rimward: --api \(or RIMWARD_API\) takes a URL/],
    [['logs'], /^rimward: missing required argument 'name'/],
    [['site', 'add', 'shop'], /^rimward: required option '--origin <url>' not specified/],
    [['allow', 'shop'], /^rimward: allow takes NAME and DESTINATION/],
    [['cert', 'add', '--chain', 'a.pem', '--key', 'b.pem'], /^rimward: --chain: ENOENT/],
    [['cert', 'acme', '--host', 'a.example', '--email', 'a@b.example'], /^rimward: --agree is needed/],
    [['cert', 'acme', '--email', 'a@b.example'], /^rimward: --host is needed/],
    [['deploy'], /^rimward: There is no wrangler\.jsonc, wrangler\.json, wrangler\.toml or fastly\.toml/],
  ]
  await Promise.all(
    cases.map(async ([args, message]) => {
      const { code, out, err } = await runCli(args, { cwd })
      assert.equal(code, 1, args.join(' '))
      // What a shell that evaluates it takes for a failure.
      assert.equal(out, args[0] === 'env' ? 'false\n' : '')
      assert.match(err, message)
      assert.doesNotMatch(err, /\n {4}at /)
    }),
  )
})

test('every command has --help', async () => {
  const commands = [
    '',
    'up',
    'env',
    'deploy',
    'logs',
    'status',
    'pops',
    'rollout',
    'programs',
    'allow',
    'site',
    'site add',
    'cert',
    'cert acme',
  ]
  await Promise.all(
    commands.map(async (name) => {
      const { code, out } = await runCli([...name.split(' ').filter(Boolean), '--help'])
      assert.equal(code, 0)
      assert.match(out, new RegExp(`^Usage: rimward ${name}`.trimEnd()))
    }),
  )
})

test('up: a banner, the ready line, files, one node a folder, an orderly end', async (t) => {
  const data = join(folder(t), "it's here")
  const node = startCli(['up', '--data', data, ...anyPort])
  t.after(() => node.child.kill('SIGKILL'))
  const out = await node.until('rimward ready\n')
  assert.equal(out.split('\n').at(-2), 'rimward ready')
  assert.match(out, /eval "\$\(npx rimward env --data '.*it'\\''s here'\)"/)

  const token = readFileSync(join(data, 'token'), 'utf8').trim()
  assert.equal(Buffer.from(token, 'base64url').length, 32)
  assert.equal(statSync(join(data, 'token')).mode & 0o777, 0o600)
  assert.equal(statSync(data).mode & 0o777, 0o700)

  const { addresses, accountId } = JSON.parse(readFileSync(join(data, 'node.json'), 'utf8'))
  assert.equal((await fetch(`${addresses.api}/healthz`)).status, 200)
  // PATH is among them only where the shell's own Node is too old for wrangler.
  const { PATH: _, ...env } = JSON.parse((await runCli(['env', '--data', data, '--json'])).out)
  assert.deepEqual(env, {
    CLOUDFLARE_API_BASE_URL: `${addresses.api}/client/v4`,
    CLOUDFLARE_API_TOKEN: token,
    CLOUDFLARE_ACCOUNT_ID: accountId,
    FASTLY_API_ENDPOINT: addresses.api,
    FASTLY_API_TOKEN: token,
    FASTLY_ACCOUNT_ENDPOINT: addresses.api,
    FASTLY_USE_API_SIGNING_KEY: '1',
    WRANGLER_SEND_METRICS: 'false',
  })
  const status = await runCli(['status', '--data', data, '--json'])
  assert.equal(JSON.parse(status.out).accountId, accountId)
  const elsewhere = await runCli(['status', '--json'], { env, cwd: tmpdir() })
  assert.equal(JSON.parse(elsewhere.out).accountId, accountId)
  const wrong = await runCli(['status', '--data', data], { env: { RIMWARD_TOKEN: 'wrong' } })
  assert.match(wrong.err, /^rimward: This needs the header/)

  const second = await runCli(['up', '--data', data, ...anyPort])
  assert.equal(second.code, 1)
  assert.match(second.err, /^rimward: The data folder .* is in use by another rimward \(process \d+, API at http/)

  node.child.kill('SIGTERM')
  assert.equal((await node.done).code, 0)
  assert.match((await runCli(['status', '--data', data])).err, /^rimward: No rimward runs on/)
  assert.match((await runCli(['env', '--data', data])).out, new RegExp(`CLOUDFLARE_ACCOUNT_ID=${accountId}`))
})

test('up: a token from the environment is not written down; SIGKILL leaves the folder free; --json', async (t) => {
  const data = folder(t)
  const env = { RIMWARD_TOKEN: 'mine' }
  const node = startCli(['up', '--data', data, '--json', '--pops', 'fra:DE', ...anyPort], { env })
  t.after(() => node.child.kill('SIGKILL'))
  const [first] = (await node.until('rimward ready\n')).split('\n')
  const { addresses } = JSON.parse(first!)
  const answer = await fetch(`${addresses.api}/rimward/v1/status`, { headers: { authorization: 'Bearer mine' } })
  assert.equal(((await answer.json()) as { pop: string }).pop, 'fra')
  assert.throws(() => readFileSync(join(data, 'token')), /ENOENT/)
  node.child.kill('SIGKILL')
  await node.done
  const again = startCli(['up', '--data', data, ...anyPort], { env })
  t.after(() => again.child.kill('SIGKILL'))
  await again.until('rimward ready\n')
  again.child.kill('SIGINT')
  assert.equal((await again.done).code, 0)
})

test('up below npx: when the shell in between is gone, the node stops in order', async (t) => {
  const data = folder(t)
  const args = ['up', '--data', data, '--json', ...anyPort]
  // npx runs `sh -c` and sends its own SIGTERM to that shell only; `; true` keeps the shell from becoming the node.
  const shell = spawn('sh', ['-c', `"$0" "$@"; true`, process.execPath, bin, ...args], {
    env: { ...process.env, npm_command: 'exec' },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let out = ''
  await new Promise<void>((resolve) => {
    shell.stdout.on('data', (chunk) => {
      out += chunk
      if (out.includes('rimward ready\n')) resolve()
    })
  })
  const { pid } = JSON.parse(readFileSync(join(data, 'node.json'), 'utf8'))
  t.after(() => {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {}
  })
  // The node holds the other end of the pipe: it closes when the node is gone.
  const gone = new Promise((resolve) => shell.stdout.on('close', resolve))
  shell.kill('SIGTERM')
  await gone
  const again = startCli(['up', '--data', data, ...anyPort])
  t.after(() => again.child.kill('SIGKILL'))
  await again.until('rimward ready\n')
  again.child.kill('SIGTERM')
  assert.equal((await again.done).code, 0)
})

test('up: a port in use is one line that names the flag', async (t) => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  t.after(() => taken.close())
  const { port } = taken.address() as AddressInfo
  for (const flag of ['http', 'api']) {
    const other = flag === 'http' ? 'api' : 'http'
    const args = ['up', '--data', folder(t), `--${flag}`, `127.0.0.1:${port}`, `--${other}`, '127.0.0.1:0']
    const { code, err } = await runCli(args)
    assert.equal(code, 1)
    assert.equal(err, `rimward: 127.0.0.1:${port} (--${flag}) is in use by another program; give another address.\n`)
  }
})
