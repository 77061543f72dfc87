/** Packages that cannot be used: refused by name, nothing kept of them, and what serves goes on serving. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { startComputePlatform } from '../support/compute-platform.ts'
import { packageOf, paxPath, type TarEntry, tar } from '../support/tar.ts'

const wasm = Buffer.from('0061736d01000000', 'hex')
const toml = { name: 'p/fastly.toml', content: 'manifest_version = 3\nname = "p"\nlanguage = "other"\n' }
const module = { name: 'p/bin/main.wasm', content: wasm }
const good = [toml, module]
const withFiles = (...more: TarEntry[]) => packageOf([...good, ...more])

const bad: [string, Buffer, RegExp][] = [
  ['nothing', Buffer.alloc(0), /not compressed with gzip/],
  ['no gzip', Buffer.from('PK\x03\x04 a zip'), /not compressed with gzip/],
  ['a tar that is not compressed', tar(good), /not compressed with gzip/],
  ['gzip that is cut short', packageOf(good).subarray(0, 60), /cut short or damaged/],
  ['no tar', gzipSync('hello'), /the archive ends before its last block/],
  ['noise', gzipSync(Buffer.alloc(2048, 7)), /is no tar archive/],
  ['a tar that is cut short', gzipSync(tar(good).subarray(0, 1600)), /ends in the middle of a file|ends before/],
  ['a size larger than the file', packageOf([{ ...module, size: 99_999 }]), /ends in the middle of a file/],
  ['no files', packageOf([]), /it is empty/],
  ['no program', packageOf([toml]), /holds no 'p\/bin\/main.wasm'/],
  ['no manifest', packageOf([module]), /holds no 'p\/fastly.toml'/],
  ['a manifest that is no TOML', packageOf([module, { ...toml, content: '= 3' }]), /fastly.toml is not TOML/],
  ['two folders', withFiles({ name: 'q/a' }), /not all in one folder/],
  ['a file beside the folder', withFiles({ name: 'p' }), /not all in one folder/],
  ['a path out of it', withFiles({ name: 'p/../../etc/passwd' }), /leads out of it: 'p\/\.\.\/\.\.\/etc/],
  ['a long path out of it', withFiles(paxPath('p/../x'), { name: 'p/x' }), /leads out of it/],
  ['a long name out of it', withFiles({ name: 'l', kind: 'L', content: '../x\0' }, { name: 'p/x' }), /leads out of it/],
  ['an absolute path', withFiles({ name: '/etc/passwd' }), /absolute path '\/etc\/passwd'/],
  ['a drive', withFiles({ name: 'C:/x' }), /absolute path/],
  ['a backslash', withFiles({ name: 'p\\..\\x' }), /characters that no path needs/],
  ['a symbolic link', withFiles({ name: 'p/l', kind: '2', link: '/etc/passwd' }), /a symbolic link: 'p\/l'/],
  ['a hard link', withFiles({ name: 'p/l', kind: '1', link: 'p/bin/main.wasm' }), /a link: 'p\/l'/],
  ['a device', withFiles({ name: 'p/d', kind: '3' }), /a device/],
  ['a pipe', withFiles({ name: 'p/d', kind: '6' }), /a named pipe/],
  ['a file twice', withFiles(module), /'p\/bin\/main.wasm' twice/],
  ['a broken extended header', withFiles({ name: 'x', kind: 'x', content: '99 path=a\n' }), /broken extended header/],
  ['a size in an extended header', withFiles({ name: 'x', kind: 'x', content: '9 size=1\n' }), /'size'/],
  ['too many files', withFiles(...[1, 2, 3, 4].map((n) => ({ name: `p/${n}` }))), /more than 5 files/],
  ['too large when unpacked', withFiles({ name: 'p/zeros', content: Buffer.alloc(100_000) }), /larger than 50000/],
  [
    'a component',
    packageOf([toml, { ...module, content: Buffer.from('0061736d0d000100', 'hex') }]),
    /is a component; Rimward runs core modules/,
  ],
  ['no WebAssembly', packageOf([toml, { ...module, content: '#!/bin/sh' }]), /is not WebAssembly/],
  [
    'a module that is cut short',
    packageOf([toml, { ...module, content: Buffer.concat([wasm, Buffer.from([1, 200, 1, 0])]) }]),
    /main.wasm is cut short/,
  ],
]

test('a package that cannot be used changes nothing', async (t) => {
  const platform = await startComputePlatform(t, {
    limits: { packageUnpackedBytes: 50_000, packageFiles: 5, packageBytes: 20_000 },
  })
  const call = async (method: string, path: string, init?: RequestInit) => {
    const { status, body } = await platform.call(method, path, init)
    return { status, body: JSON.parse(body) }
  }
  const form = (bytes: Uint8Array, name = 'package') => {
    const data = new FormData()
    data.append(name, new Blob([bytes as Uint8Array<ArrayBuffer>]), 'p.tar.gz')
    return { body: data }
  }
  const { id } = (await call('POST', '/service', { body: new URLSearchParams({ name: 'p', type: 'wasm' }) })).body
  const version = (number: number) => `/service/${id}/version/${number}`
  assert.equal((await call('GET', `${version(1)}/package`)).status, 404)
  const early = await call('PUT', `${version(1)}/activate`)
  assert.deepEqual([early.status, /has no package/.test(early.body.detail)], [400, true])
  assert.equal((await call('PUT', `${version(1)}/package`, form(packageOf(good)))).status, 200)
  assert.equal((await call('PUT', `${version(1)}/activate`)).status, 200)
  const serving = platform.control.snapshot
  const blobs = async () => (await Array.fromAsync(platform.fabric.blobs.list())).map(({ hash }) => hash)
  const stored = await blobs()

  const locked = await call('PUT', `${version(1)}/package`, form(packageOf(good)))
  assert.deepEqual([locked.status, /is locked/.test(locked.body.detail)], [422, true])
  await call('PUT', `${version(1)}/clone`)
  const before = (await call('GET', `${version(2)}/package`)).body.metadata
  for (const [what, bytes, says] of bad) {
    const { status, body } = await call('PUT', `${version(2)}/package`, form(bytes))
    assert.deepEqual([status, body.msg], [400, 'Invalid package'], `${what}: ${JSON.stringify(body)}`)
    assert.match(body.detail, says, what)
  }
  for (const [init, status, says] of [
    [form(Buffer.alloc(30_000)), 413, /larger than 20000 bytes/],
    [form(Buffer.alloc(50_000)), 413, /larger than/],
    [form(packageOf(good), 'file'), 400, /one part, named package/],
    [{ body: '--x\r\nnothing', headers: { 'content-type': 'multipart/form-data; boundary=x' } }, 400, /malformed/],
  ] as const) {
    const answer = await call('PUT', `${version(2)}/package`, init)
    assert.equal(answer.status, status)
    assert.match(answer.body.detail, says)
  }
  assert.deepEqual((await call('GET', `${version(2)}/package`)).body.metadata, before)

  // Sound as an archive and in its sections, and yet no valid module.
  const unsound = Buffer.concat([wasm, Buffer.from('0a05010300ffff', 'hex')])
  const refused = await call('PUT', `${version(2)}/package`, form(packageOf([toml, { ...module, content: unsound }])))
  assert.deepEqual([refused.status, refused.body.msg], [400, 'Invalid package'])
  assert.match(refused.body.detail, /main\.wasm is not valid: .*(section|function)/i)
  assert.equal(platform.control.snapshot, serving)
  assert.equal(platform.control.services.service(id).active, 1)
  assert.deepEqual(await blobs(), stored)
  assert.deepEqual(platform.bugs, [])
})

test('archives as tools write them', async (t) => {
  const platform = await startComputePlatform(t)
  const { body } = await platform.call('POST', '/service', { body: new URLSearchParams({ name: 'p', type: 'wasm' }) })
  const { id } = JSON.parse(body)
  const long = `p/${'deep/'.repeat(40)}file`
  const archives: [string, TarEntry[]][] = [
    ['plain', good],
    ['with folders', [{ name: 'p/', kind: '5' }, { name: 'p/bin/', kind: '5' }, ...good]],
    ['from the folder itself', good.map((entry) => ({ ...entry, name: `./${entry.name}` }))],
    ['a long name in an extended header', [paxPath(long), { name: 'p/x' }, ...good]],
    [
      "a long name in GNU's way",
      [{ name: '././@LongLink', kind: 'L', content: `${long}\0` }, { name: 'p/x' }, ...good],
    ],
    ['a global header', [{ name: 'g', kind: 'g', content: '19 comment=abcdefg\n' }, ...good]],
  ]
  for (const [what, entries] of archives) {
    const answer = await platform.call('PUT', `/service/${id}/version/1/package`, { body: packageOf(entries) })
    assert.equal(answer.status, 200, `${what}: ${answer.body}`)
  }
})

test('the sweep keeps what versions name, and takes what no version names any more', async (t) => {
  const platform = await startComputePlatform(t, { limits: { blobGraceMs: 0 } })
  const { body } = await platform.call('POST', '/service', { body: new URLSearchParams({ name: 'p', type: 'wasm' }) })
  const { id } = JSON.parse(body)
  const put = (content: Uint8Array) =>
    platform.call('PUT', `/service/${id}/version/1/package`, { body: packageOf([toml, { ...module, content }]) })
  const count = async () => (await Array.fromAsync(platform.fabric.blobs.list())).length
  const sweep = () => platform.control.sweep(async function* () {})
  await put(Buffer.concat([wasm, Buffer.from([0, 2, 1, 0x61])]))
  await put(wasm)
  assert.equal(await count(), 2)
  await sweep()
  assert.equal(await count(), 1)
  await platform.call('PUT', `/service/${id}/version/1/activate`)
  await sweep()
  assert.equal(await count(), 1)
  await platform.call('PUT', `/service/${id}/version/1/deactivate`)
  await platform.call('DELETE', `/service/${id}`)
  await sweep()
  assert.equal(await count(), 0)
})

test('a client that breaks off in the middle of a package leaves nothing', async (t) => {
  const platform = await startComputePlatform(t)
  const { body } = await platform.call('POST', '/service', { body: new URLSearchParams({ name: 'p', type: 'wasm' }) })
  const at = `/service/${JSON.parse(body).id}/version/1/package`
  const { hostname, port } = new URL(platform.url)
  const socket = connect(Number(port), hostname)
  const head = [`PUT ${at} HTTP/1.1`, 'host: x', `fastly-key: ${platform.token}`, 'content-length: 1000', '', '']
  socket.write(head.join('\r\n'))
  socket.write(packageOf(good))
  await new Promise((resolve) => setImmediate(resolve))
  socket.destroy()
  // Uploads are read one after the other: when this one is answered, the one before is over.
  assert.equal((await platform.call('PUT', at, { body: 'no package' })).status, 400)
  assert.equal((await platform.call('GET', at)).status, 404)
  assert.deepEqual(await Array.fromAsync(platform.fabric.blobs.list()), [])
  assert.deepEqual(platform.bugs, [])
})
