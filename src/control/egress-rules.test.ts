import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from './certificates/memory-fabric.fixture.ts'
import { compileDestination, createEgressRules, parseRuleDestination } from './egress-rules.ts'

const target = { host: 'db.internal', address: '10.0.0.5', port: 5432 }

test('destinations and what they cover', () => {
  const cases: [string, typeof target, string | undefined][] = [
    ['10.0.0.0/8', target, 'network false'],
    ['0.0.0.0/0', target, 'network false'],
    ['11.0.0.0/8', target, undefined],
    ['fd00::/8', { ...target, address: 'fd12::1' }, 'network false'],
    ['::/0', target, undefined],
    ['10.0.0.5', target, 'address false'],
    ['::ffff:10.0.0.5', target, 'address false'],
    ['10.0.0.5:5432', target, 'address true'],
    ['10.0.0.5:5433', target, undefined],
    ['[fd12::1]:80', { host: 'x', address: 'fd12::1', port: 80 }, 'address true'],
    ['FD12:0::1', { host: 'x', address: 'fd12::1', port: 80 }, 'address false'],
    ['db.internal', target, 'host false'],
    ['DB.internal.:5432', target, 'host true'],
    ['*.internal', target, 'host false'],
    ['*.internal:1', target, undefined],
    ['internal', target, undefined],
    ['*.db.internal', target, undefined],
    ['localhost:8081', { host: 'localhost', address: '::1', port: 8081 }, 'host true'],
  ]
  for (const [text, to, expected] of cases) {
    const grant = compileDestination(parseRuleDestination(text))(to)
    assert.equal(grant && `${grant.names} ${grant.port}`, expected, text)
  }
})

test('what is no destination is refused by name', () => {
  const wrong = [
    '',
    '*',
    'a b',
    'http://a/',
    '10.0.0.0/33',
    '10.0.0.1/8',
    '10/8',
    '10.0/8',
    '10.0.0.0/8:443',
    '127.1',
    '0x7f000001',
    '2130706433',
    '10.0.0.5:0',
    '10.0.0.5:65536',
    'a:b',
    '[10.0.0.1',
    '[a.b]:1',
    'a..b',
    '-a.b',
    `${'a'.repeat(64)}.b`,
    'fd00::1:80:zz',
  ] // prettier-ignore
  for (const text of wrong)
    assert.throws(() => parseRuleDestination(text), { code: 'bad_request', message: /^"/ }, text)
})

test('rules are kept, found by every holder, and removed in any spelling', async () => {
  const fabric = createMemoryFabric(() => 1000)
  const options = { fabric, limits: { ...defaultLimits, egressRules: 3 }, clock: () => 1000 }
  const here = await createEgressRules(options)
  const there = await createEgressRules(options)
  await here.allow('shop', 'DB.internal:5432')
  await here.allow('shop', 'db.internal:5432')
  await here.allow('*', '127.0.0.1')
  assert.deepEqual(there.list(), [
    { program: '*', destination: '127.0.0.1', createdAt: 1000 },
    { program: 'shop', destination: 'db.internal:5432', createdAt: 1000 },
  ])
  assert.equal(there.grants({ program: 'shop' }, target).length, 1)
  assert.equal(there.grants({ program: 'other' }, target).length, 0)
  assert.equal(there.grants({ program: 'other' }, { ...target, address: '127.0.0.1' }).length, 1)
  assert.equal(there.grants({ site: 'shop' }, target).length, 0)
  const later = await createEgressRules(options)
  assert.equal(later.list().length, 2)
  assert.equal(await there.remove('shop', 'db.Internal.:5432'), true)
  assert.equal(await there.remove('shop', 'db.internal:5432'), false)
  assert.equal(here.grants({ program: 'shop' }, target).length, 0)
  await here.allow('a', '1.1.1.1')
  await here.allow('a', '1.1.1.2')
  await assert.rejects(here.allow('a', '1.1.1.3'), { code: 'bad_request', message: /3 rules/ })
  await assert.rejects(here.allow('A b', '1.1.1.3'), { code: 'bad_request', message: /program's name/ })
  for (const book of [here, there, later]) book.close()
})
