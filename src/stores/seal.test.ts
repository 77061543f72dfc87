import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { keepKeys, openSeal } from './seal.ts'

async function inFolder(t: TestContext): Promise<{ folder: string; keyFile: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-seal-'))
  t.after(() => rm(folder, { recursive: true }))
  return { folder, keyFile: join(folder, 'secret.key') }
}

test('what was sealed opens, also after a restart; the same text never looks the same', async (t) => {
  const { folder, keyFile } = await inFolder(t)
  const seal = await openSeal({ keyFile })
  for (const text of ['', 'hunter2', 'ключ 🔑\n', 'x'.repeat(100_000)]) {
    const sealed = seal.seal(text)
    assert.match(sealed, /^v1\.[0-9a-f]{8}\.[A-Za-z0-9+/]+=*$/)
    assert.notEqual(seal.seal(text), sealed)
    assert.equal(seal.open(sealed), text)
    assert.equal((await openSeal({ keyFile })).open(sealed), text)
  }
  assert.equal((await stat(keyFile)).mode & 0o777, 0o600)
  assert.deepEqual(await readdir(folder), ['secret.key'])
})

test('any change is noticed', async (t) => {
  const { keyFile } = await inFolder(t)
  const seal = await openSeal({ keyFile })
  const sealed: string = seal.seal('hunter2')
  const [version, id, text] = sealed.split('.') as [string, string, string]
  for (let at = 0; at < Buffer.from(text, 'base64').length; at++) {
    const bytes = Buffer.from(text, 'base64')
    bytes[at]! ^= 1
    assert.throws(() => seal.open(`${version}.${id}.${bytes.toString('base64')}`), /was changed/, `byte ${at}`)
  }
  for (const bad of ['', 'v1', `v2.${id}.${text}`, `${version}.${id}.${text}.x`, `${sealed}!`, `${version}.${id}.AAAA`])
    assert.throws(() => seal.open(bad), { name: 'EdgeError' }, bad)
  assert.throws(() => seal.open(`${version}.ffffffff.${text}`), /key ffffffff is not in/)
})

test('a new key in front seals; older texts still open', async (t) => {
  const { keyFile } = await inFolder(t)
  const sealed = (await openSeal({ keyFile })).seal('old')
  const file = JSON.parse(await readFile(keyFile, 'utf8'))
  file.keys.unshift({ id: 'new1', key: randomBytes(32).toString('base64') })
  await writeFile(keyFile, JSON.stringify(file))
  const seal = await openSeal({ keyFile })
  assert.equal(seal.open(sealed), 'old')
  assert.match(seal.seal('new'), /^v1\.new1\./)
})

test('two who start at once get one key', async (t) => {
  const { keyFile } = await inFolder(t)
  const seals = await Promise.all([1, 2, 3].map(() => openSeal({ keyFile })))
  for (const seal of seals) assert.equal(seals[0]!.open(seal.seal('x')), 'x')
})

test('a key file that others can read, or that is none, is refused', async (t) => {
  const { keyFile } = await inFolder(t)
  const wrong = [
    '',
    'key',
    '{"version":2,"keys":[]}',
    '{"version":1,"keys":[]}',
    '{"version":1,"keys":[{"id":"a","key":"AA"}]}',
  ]
  for (const text of wrong) {
    await writeFile(keyFile, text, { mode: 0o600 })
    await assert.rejects(openSeal({ keyFile }), /not a key file/, text)
  }
  await chmod(keyFile, 0o640)
  await assert.rejects(openSeal({ keyFile }), /chmod 600/)
})

test('keys that were given come before a file of their own, whose texts still open', async (t) => {
  const [founder, joiner] = [await inFolder(t), await inFolder(t)]
  const before = (await openSeal(joiner)).seal('from before')
  const platform = await openSeal(founder)
  await keepKeys({ ...joiner, keys: platform.keys() })
  const joined = await openSeal(joiner)
  assert.equal(joined.open(before), 'from before')
  assert.equal(platform.open(joined.seal('shared')), 'shared')
  assert.equal((await stat(joiner.keyFile)).mode & 0o777, 0o600)
  assert.deepEqual(await readdir(joiner.folder), ['secret.key'])
  await assert.rejects(keepKeys({ ...joiner, keys: '{}' }), /no key file|not a key file/)
})
