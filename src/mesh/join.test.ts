import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import type { Place } from '#/core/pops.ts'
import { type AnswerJoinsOptions, answerJoins } from './answer-joins.ts'
import { until } from './contract.fixture.ts'
import { createInvite, type InviteWish } from './invites.ts'
import { joinTopic } from './join-messages.ts'
import { type JoinOptions, joinPlatform } from './join-platform.ts'
import { createPlatform, createSeal, fra, iad } from './nodes.fixture.ts'

const hour = 3_600_000
const adminToken = 'the token of the administrator'

/** A platform that `fra` founded, where it and `iad` answer newcomers. */
async function founded(t: TestContext, options: Partial<AnswerJoinsOptions> = {}) {
  const platform = await createPlatform(t)
  const meshes = [await platform.open(fra), await platform.open(iad)]
  const secretsFor = async (place: Place) => `keys of ${place.country}`
  for (const mesh of meshes) {
    const end = answerJoins({
      fabric: platform.fabric,
      seal: platform.seal,
      self: mesh.self.node,
      secretsFor,
      token: adminToken,
      open: false,
      isAlive: (node) => mesh.self.node === node || mesh.peers().some((peer) => peer.node === node && peer.reachable),
      limits: defaultLimits,
      clock: Date.now,
      log: (message) => platform.said.push(message),
      ...options,
    })
    t.after(end)
  }
  const kept: string[] = []
  const joins = (wish: Partial<JoinOptions>) =>
    joinPlatform({
      folder: join(platform.folder, 'new'),
      fabric: platform.fabric,
      pop: 'nrt',
      country: 'JP',
      openSeal: async () => assert.fail('a joining node founds nothing'),
      keepSecrets: async (secrets) => void kept.push(secrets),
      limits: defaultLimits,
      clock: Date.now,
      ...wish,
    })
  const invite = (wish: InviteWish = {}, clock = Date.now) =>
    createInvite({ fabric: platform.fabric, limits: defaultLimits, clock }, wish).then(({ token }) => token)
  return { ...platform, meshes, kept, joins, invite }
}

const nothingJoined = async (folder: string) =>
  assert.equal((await readdir(join(folder, 'new')).catch((): string[] => [])).includes('certificate.pem'), false)

test('with an invitation a machine gets certificate and secrets, and its mesh comes up', async (t) => {
  const { joins, invite, kept, open, folder, meshes } = await founded(t)
  const joined = await joins({ invite: await invite({ pop: 'nrt', country: 'JP' }) })
  assert.deepEqual(joined.place, { node: 'nrt', pop: 'nrt', country: 'JP' })
  assert.equal(joined.how, 'joined')
  assert.deepEqual(kept, ['keys of JP'])
  const stranger = { seal: () => assert.fail('needs no seal'), open: () => assert.fail('needs no seal') }
  const nrt = await open(joined.place, { folder: join(folder, 'new'), seal: stranger })
  await until(() => [nrt, ...meshes].every((mesh) => mesh.peers().filter((peer) => peer.reachable).length === 2))
  meshes[0]!.serve('who', async ({ from }) => ({ head: { from } }))
  const answer = await nrt.ask('fra', 'who')
  answer.body.resume()
  assert.deepEqual(answer.head, { from: joined.place })
  assert.deepEqual(await joins({}), { place: joined.place, how: 'member' })
})

test('an invitation works once; the same machine may ask again when the answer was lost', async (t) => {
  const { joins, invite, folder } = await founded(t)
  const token = await invite()
  const lost = joins({ invite: token, keepSecrets: () => Promise.reject(new Error('power cut')) })
  await assert.rejects(lost, /power cut/)
  await nothingJoined(folder)
  assert.equal((await joins({ invite: token })).how, 'joined')
  await assert.rejects(joins({ invite: token, folder: join(folder, 'third') }), {
    code: 'bad_request',
    message: /used already, and works once/,
  })
})

test('of two machines with one invitation one comes in', async (t) => {
  const { joins, invite, folder } = await founded(t)
  const token = await invite()
  const results = await Promise.allSettled([1, 2].map((i) => joins({ invite: token, folder: join(folder, `new${i}`) })))
  assert.deepEqual(results.map((result) => result.status).toSorted(), ['fulfilled', 'rejected'])
})

test('bad invitations are refused with their reason, and nothing is half-joined', async (t) => {
  const platform = await founded(t)
  const { joins, invite, folder } = platform
  const other = await founded(t)
  const good = await invite()
  const cases: [string, string, RegExp][] = [
    ['expired', await invite({ lifeSeconds: 60 }, () => Date.now() - hour), /expired at 20.*Z/],
    ['another PoP', await invite({ pop: 'fra' }), /for the PoP fra, not nrt/],
    ['another country', await invite({ country: 'DE' }), /for DE, not JP/],
    ['another platform', await other.invite(), /another platform/],
    ['nonsense', 'rimward-invite-AAAA', /«rimward invite» prints it/],
    ['changed', good.slice(0, -40) + (good.at(-40) === 'A' ? 'B' : 'A') + good.slice(-39), /no such|not the one/],
  ]
  for (const [name, token, message] of cases)
    await assert.rejects(joins({ invite: token }), { name: 'EdgeError', message }, name)
  await nothingJoined(folder)
  assert.deepEqual(platform.kept, [])
})

test('a clock that is an hour off is named in the refusal', async (t) => {
  const { joins, invite } = await founded(t)
  const token = await invite({ pop: 'fra' })
  await assert.rejects(joins({ invite: token, clock: () => Date.now() - hour }), {
    message: /for the PoP fra, not nrt\. The clock of this machine is 60 min behind that of the node (fra|iad)\./,
  })
  assert.equal((await joins({ invite: await invite(), clock: () => Date.now() + hour })).how, 'joined')
})

test('the token of the administrator is proven, not sent, by both sides', async (t) => {
  const { joins, fabric, folder } = await founded(t)
  const heard: string[] = []
  fabric.subscribe(joinTopic, (message) => heard.push(Buffer.from(message).toString()))
  await assert.rejects(joins({ token: 'another token' }), { message: /not that of this platform/ })
  await nothingJoined(folder)
  assert.equal((await joins({ token: adminToken })).how, 'joined')
  assert.ok(heard.length >= 2 && heard.every((text) => !text.includes(adminToken)))
})

test('without invitation or token only an open platform lets anybody in', async (t) => {
  const closed = await founded(t)
  await assert.rejects(closed.joins({}), { message: /«rimward invite»/ })
  const open = await founded(t, { open: true })
  assert.equal((await open.joins({})).how, 'joined')
})

test('nodes of one PoP get names of their own; a name that is in use is refused', async (t) => {
  const { joins, invite, folder } = await founded(t)
  const de = { pop: 'fra', country: 'DE' }
  const second = await joins({ ...de, invite: await invite(), folder: join(folder, 'second') })
  assert.match(second.place.node, /^fra-[0-9a-f]{6}$/)
  const token = await invite()
  await assert.rejects(joins({ ...de, node: 'fra', invite: token, folder: join(folder, 'third') }), {
    code: 'bad_request',
    message: /A node fra runs on this platform already/,
  })
  const third = await joins({ ...de, node: 'fra-three', invite: token, folder: join(folder, 'third') })
  assert.equal(third.place.node, 'fra-three')
  await assert.rejects(joins({ country: 'Japan', invite: await invite() }), { message: /nrt:Japan is no name/ })
})

test('an empty platform is founded by one of two that come at once; the other joins it', async (t) => {
  const platform = await createPlatform(t)
  const seals = [createSeal(), createSeal()]
  const ends: (() => void)[] = []
  t.after(() => {
    for (const end of ends) end()
  })
  const start = async (i: number) => {
    const joined = await joinPlatform({
      folder: join(platform.folder, `node${i}`),
      fabric: platform.fabric,
      pop: 'fra',
      country: 'DE',
      token: adminToken,
      openSeal: async () => seals[i]!,
      keepSecrets: async (secrets) => assert.equal(secrets, 'the keys'),
      limits: defaultLimits,
      clock: Date.now,
    })
    if (joined.how === 'founded')
      ends.push(
        answerJoins({
          fabric: platform.fabric,
          seal: seals[i]!,
          self: joined.place.node,
          secretsFor: async () => 'the keys',
          token: adminToken,
          open: false,
          isAlive: () => true,
          limits: defaultLimits,
          clock: Date.now,
          log: () => {},
        }),
      )
    return joined
  }
  const joined = await Promise.all([start(0), start(1)])
  assert.deepEqual(joined.map(({ how }) => how).toSorted(), ['founded', 'joined'])
  assert.notEqual(joined[0]!.place.node, joined[1]!.place.node)
})

test('an invitation founds nothing, and where no node runs the wait ends', async (t) => {
  const { invite, fabric, folder } = await founded(t)
  const empty = await createPlatform(t)
  const options = {
    folder: join(folder, 'new'),
    pop: 'nrt',
    country: 'JP',
    openSeal: async () => createSeal(),
    keepSecrets: async () => {},
    clock: Date.now,
  }
  const wish = { ...options, fabric: empty.fabric, limits: defaultLimits, invite: await invite() }
  await assert.rejects(joinPlatform(wish), { message: /another platform: this one is empty/ })
  assert.equal(await empty.fabric.bucket('mesh-authority').get('authority'), undefined)
  const deaf = { ...fabric, publish: () => {} }
  const limits = { ...defaultLimits, joinMs: 50 }
  await assert.rejects(joinPlatform({ ...options, fabric: deaf, limits, invite: await invite() }), {
    code: 'peer_away',
    message: /No node of the platform answered/,
  })
})

test('what is no request to join is not answered', async (t) => {
  const { fabric, said, joins, invite } = await founded(t)
  for (const text of [
    '',
    '{}',
    'null',
    '[]',
    '{"wish":"{}"}',
    '{"wish":1}',
    `{"wish":"{\\"id\\":\\"${'0'.repeat(32)}\\"}"}`,
  ])
    fabric.publish(joinTopic, Buffer.from(text))
  assert.equal((await joins({ invite: await invite() })).how, 'joined')
  assert.ok(said.some((line) => line.includes('holds no key')))
})
