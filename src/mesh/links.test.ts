import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { Fabric } from '#/core/ports.ts'
import { openMeshAuthority } from './authority.ts'
import { until } from './contract.fixture.ts'
import { readIdentity } from './identity.ts'
import type { RunningMesh } from './mesh.ts'
import { createPlatform, createSeal, fra, iad, nrt } from './nodes.fixture.ts'

const reaches = (mesh: RunningMesh, node: string) => mesh.peers().find((peer) => peer.node === node)?.reachable

test('a silent link is unreachable within two seconds, and is up again within two of its return', async (t) => {
  const { open, ways } = await createPlatform(t)
  const one = await open(fra)
  const two = await open(iad)
  await until(() => reaches(one, 'iad') === true)
  const arrived = Promise.withResolvers<AbortSignal>()
  two.serve('never', ({ signal }) => {
    arrived.resolve(signal)
    return new Promise(() => {})
  })
  const asked = assert.rejects(one.ask('iad', 'never'), { code: 'peer_away' })
  const signal = await arrived.promise
  const silentAt = performance.now()
  ways.silence('fra', 'iad')
  await until(() => reaches(one, 'iad') === false)
  const noticed = performance.now() - silentAt
  assert.ok(noticed > 1_000 && noticed < 3_500, `noticed after ${noticed} ms`)
  assert.match(one.peers()[0]!.problem!, /silent for 2000 ms|did not answer/)
  await asked
  await until(() => signal.aborted)
  const healedAt = performance.now()
  ways.heal('fra', 'iad')
  await until(() => reaches(one, 'iad') === true)
  assert.ok(performance.now() - healedAt < 3_500)
})

test('round trips and the difference of clocks are measured; an hour is said', async (t) => {
  const { open, said } = await createPlatform(t)
  const one = await open(fra)
  const two = await open(iad, { clock: () => Date.now() + 3_600_000 })
  await until(() => one.peers()[0]?.rttMs !== undefined && reaches(two, 'fra') === true)
  const [peer] = one.peers()
  assert.ok(peer!.rttMs! > 0 && peer!.rttMs! < 1_000)
  assert.ok(Math.abs(peer!.skewMs! - 3_600_000) < 5_000)
  assert.equal(peer!.version, '1.2.3')
  assert.ok(said.includes('fra: the clock of the node iad is 60 min ahead of the clock here'))
  assert.ok(said.includes('iad: the clock of the node fra is 60 min behind the clock here'))
})

test('a node that is forgotten is cut off everywhere and does not come back by itself', async (t) => {
  const { open, said } = await createPlatform(t)
  const [one, two, three] = [await open(fra), await open(iad), await open(nrt)]
  await until(() => [one, two, three].every((mesh) => mesh.peers().every((peer) => peer.reachable)))
  assert.equal(await one.forget('mars'), false)
  assert.equal(await one.forget('nrt'), true)
  await until(() => one.peers().length === 1 && two.peers().length === 1 && three.peers().length === 0)
  await assert.rejects(three.ask('fra', 'anything'), { code: 'peer_away' })
  await until(() => said.some((line) => line.includes('nrt was removed from this platform')))
  await three.close()
  await assert.rejects(open(nrt), { code: 'peer_away', message: /nrt was removed from this platform.*join again/ })
  await assert.rejects(one.ask('nrt', 'anything'), { code: 'peer_away' })
})

/** What `writeWhole` renames once it is on disk. */
const isDraft = /\.[0-9a-f-]{36}$/

test('a second process under one name is refused: on a copy of the folder, and with another key', async (t) => {
  const { open, folder } = await createPlatform(t)
  const one = await open(fra)
  // The node may be writing: what it has not finished is not part of its folder.
  const filter = (file: string) => !isDraft.test(file)
  await cp(join(folder, 'fra'), join(folder, 'copy'), { recursive: true, filter })
  await assert.rejects(open(fra, { folder: join(folder, 'copy') }), {
    code: 'folder_in_use',
    message: /The node fra runs at 127\.0\.0\.1:\d+ already, with a copy/,
  })
  await assert.rejects(open(fra, { folder: join(folder, 'other') }), {
    code: 'folder_in_use',
    message: /A node fra runs at 127\.0\.0\.1:\d+, with another folder and key/,
  })
  await one.close()
  const again = await open(fra, { folder: join(folder, 'other') })
  const two = await open(iad)
  await until(() => reaches(two, 'fra') === true && reaches(again, 'iad') === true)
})

test('a restart is reached at its new address, and the place of a folder cannot change', async (t) => {
  const { open, folder } = await createPlatform(t)
  const one = await open(fra)
  let two = await open(iad)
  await until(() => reaches(one, 'iad') === true)
  await two.close()
  await until(() => reaches(one, 'iad') === false)
  two = await open(iad, { version: '1.2.4' })
  await until(() => reaches(one, 'iad') === true && reaches(two, 'fra') === true)
  assert.equal(one.peers()[0]!.version, '1.2.4')
  await two.close()
  for (const place of [
    { ...iad, country: 'CA' },
    { ...iad, pop: 'nrt' },
    { ...iad, node: 'iad-two' },
  ])
    await assert.rejects(open(place, { folder: join(folder, 'iad') }), { code: 'folder_in_use' })
})

test('a new certificate replaces links without breaking what runs on them', async (t) => {
  const { open, folder } = await createPlatform(t)
  const one = await open(fra)
  const two = await open(iad)
  await until(() => reaches(one, 'iad') === true && reaches(two, 'fra') === true)
  two.serveTunnel('echo', (_, stream) => void stream.pipe(stream))
  two.serve('who', async ({ from }) => ({ head: { ...from } }))
  const tunnel = await one.tunnel('iad', 'echo')
  const before = (await readIdentity(join(folder, 'fra')))!
  await Promise.all([one.renew(), two.renew()])
  const after = (await readIdentity(join(folder, 'fra')))!
  assert.notEqual(after.certificate, before.certificate)
  assert.equal(after.fingerprint, before.fingerprint)
  for (let i = 0; i < 50; i++) {
    const answer = await one.ask('iad', 'who')
    answer.body.resume()
    assert.deepEqual(answer.head, { ...fra })
  }
  tunnel.end('still here')
  assert.equal(await text(tunnel), 'still here')
})

test('a certificate is renewed at the start when half of its life is over', async (t) => {
  const { open, folder } = await createPlatform(t)
  const long = { ...defaultLimits, nodeCertificateSeconds: 86_400 }
  await (await open(fra, { limits: long })).close()
  const file = join(folder, 'fra')
  const first = (await readIdentity(file))!
  await (await open(fra, { clock: () => Date.now() + 6 * 3_600_000 })).close()
  assert.equal((await readIdentity(file))!.certificate, first.certificate)
  await (await open(fra, { clock: () => Date.now() + 14 * 3_600_000 })).close()
  assert.notEqual((await readIdentity(file))!.certificate, first.certificate)
})

test('while the fabric is away links come up from what the folder knows, and a place is taken once it is back', async (t) => {
  const platform = await createPlatform(t)
  const away = createAwayFabric(platform.fabric)
  let one = await platform.open(fra, { fabric: away.fabric })
  const two = await platform.open(iad, { fabric: away.fabric })
  await until(() => reaches(one, 'iad') === true)
  away.set('away')
  const { port } = one.address
  await one.close()
  one = await platform.open(fra, { fabric: away.fabric, listen: { host: '127.0.0.1', port } })
  await until(() => reaches(one, 'iad') === true && reaches(two, 'fra') === true)
  two.serve('greet', async () => ({ head: { up: true } }))
  ;(await one.ask('iad', 'greet')).body.resume()
  away.set('here')
  const third = await platform.open(nrt, { fabric: away.fabric })
  await until(() => reaches(third, 'fra') === true && reaches(one, 'nrt') === true && reaches(two, 'nrt') === true)
})

/** A fabric that can go away and come back. */
function createAwayFabric(fabric: Fabric) {
  let state: Fabric['state'] = 'here'
  const listeners = new Set<(state: Fabric['state']) => void>()
  const check = async () => {
    if (state === 'away') throw new EdgeError('fabric_away', 'The fabric is away.')
  }
  const cuttable: Fabric = {
    ...fabric,
    get state() {
      return state
    },
    onState(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    bucket(name) {
      const bucket = fabric.bucket(name)
      return {
        get: (key) => check().then(() => bucket.get(key)),
        put: (key, value, options) => check().then(() => bucket.put(key, value, options)),
        delete: (key, options) => check().then(() => bucket.delete(key, options)),
        list: (options) => check().then(() => bucket.list(options)),
        watch: (prefix, listener) => bucket.watch(prefix, listener),
      }
    },
  }
  return {
    fabric: cuttable,
    set(next: Fabric['state']) {
      state = next
      for (const listener of listeners) listener(next)
    },
  }
}

test('calls and tunnels have their caps; beyond them is overloaded, and room comes back', async (t) => {
  const { open } = await createPlatform(t)
  const limits = { ...defaultLimits, meshCalls: 2, meshTunnels: 1 }
  const one = await open(fra, { limits })
  const two = await open(iad, { limits })
  await until(() => reaches(one, 'iad') === true)
  two.serve('slow', () => new Promise(() => {}))
  two.serve('quick', async () => ({}))
  two.serveTunnel('hold', () => {})
  const controller = new AbortController()
  const slow = [1, 2].map(() => one.ask('iad', 'slow', { signal: controller.signal }).catch(() => {}))
  await assert.rejects(one.ask('iad', 'quick'), { code: 'overloaded' })
  controller.abort()
  await Promise.all(slow)
  const quick = async () => (await one.ask('iad', 'quick')).body.resume()
  let answered = false
  await until(() => {
    quick().then(
      () => {
        answered = true
      },
      () => {},
    )
    return answered
  })
  const tunnel = await one.tunnel('iad', 'hold')
  await assert.rejects(one.tunnel('iad', 'hold'), { code: 'overloaded' })
  tunnel.destroy()
})

test('a folder of another platform is refused, and one whose parts do not belong together', async (t) => {
  const { open, folder, seal } = await createPlatform(t)
  await (await open(fra)).close()
  const elsewhere = { fabric: createMemoryFabric(Date.now), seal: createSeal() }
  await assert.rejects(open(fra, elsewhere), { code: 'folder_in_use', message: /a platform that is not there/ })
  await openMeshAuthority({ ...elsewhere, clock: Date.now, limits: defaultLimits })
  await assert.rejects(open(fra, elsewhere), { code: 'folder_in_use', message: /a node of another platform/ })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await writeFile(join(folder, 'fra', 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  await assert.rejects(open(fra, { seal }), { message: /it belongs to another key/ })
  await rm(join(folder, 'fra', 'key.pem'))
  await writeFile(join(folder, 'fra', 'directory.json'), 'no JSON')
  await (await open(fra)).close()
  assert.match(await readFile(join(folder, 'fra', 'key.pem'), 'utf8'), /BEGIN PRIVATE KEY/)
})
