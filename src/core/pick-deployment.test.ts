import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pickDeployment } from './pick-deployment.ts'
import type { Deployment, Program } from './snapshot.ts'

const deployment = (id: string, number: number): Deployment => ({
  id,
  program: 'shop',
  number,
  createdAt: 0,
  bindings: [],
  limits: {},
})

const program = (...parts: [string, number, number][]): Program => ({
  name: 'shop',
  objects: [],
  rollout: parts.map(([id, number, percent]) => ({ deployment: deployment(id, number), percent })),
})

const two = program(['old', 1, 70], ['new', 2, 30])
const [active, draft] = program(['active', 2, 100], ['staged', 1, 0]).rollout
const withStaged: Program = {
  ...program(),
  rollout: [active!, { ...draft!, deployment: { ...draft!.deployment, staged: true } }],
}
const staging = (value: string) => ['Rimward-Staging', value]
const overrides = (value: string) => ['Cloudflare-Workers-Version-Overrides', value]
const key = (value: string) => ['Cloudflare-Workers-Version-Key', value]

test('nothing deployed: nobody is picked', () => {
  assert.equal(pickDeployment(program(), [], 0), undefined)
})

const cases: [what: string, program: Program, headers: string[], random: number, id: string, why: string][] = [
  ['only one', program(['one', 1, 100]), overrides('shop="two"'), 0.5, 'one', 'only'],
  ['chance, low', two, [], 0, 'old', 'chance'],
  ['chance, just under the line', two, [], 0.6999, 'old', 'chance'],
  ['chance, on the line', two, [], 0.7, 'new', 'chance'],
  ['chance, highest', two, [], 0.999999, 'new', 'chance'],
  ['the order of the rollout does not matter', program(['new', 2, 30], ['old', 1, 70]), [], 0.1, 'old', 'chance'],
  ['override', two, overrides('shop="new"'), 0, 'new', 'override'],
  ['override among others', two, overrides('other="x", shop="new"'), 0, 'new', 'override'],
  ['override for others', two, overrides('other="new"'), 0, 'old', 'chance'],
  ['override outside the rollout', two, overrides('shop="gone"'), 0, 'old', 'chance'],
  ['the last of equal keys wins', two, overrides('shop="old", shop="new"'), 0, 'new', 'override'],
  ['override in two fields', two, [...overrides('a="b"'), ...overrides('shop="new"')], 0, 'new', 'override'],
  ['malformed: no quotes', two, overrides('shop=new'), 0, 'old', 'chance'],
  ['malformed: trailing comma', two, overrides('shop="new",'), 0, 'old', 'chance'],
  ['malformed: rubbish behind', two, overrides('shop="new" x'), 0, 'old', 'chance'],
  ['staged, for who asks', withStaged, staging('1'), 0, 'staged', 'override'],
  ['staged, for nobody else', withStaged, staging('0'), 0, 'active', 'chance'],
  ['staged, at the end of chance', withStaged, [], 0.999999, 'active', 'chance'],
  ['an empty key is no key', two, key(''), 0.9, 'new', 'chance'],
]

for (const [what, program, headers, random, id, why] of cases) {
  test(what, () => {
    const picked = pickDeployment(program, headers, random)
    assert.equal(picked?.deployment.id, id)
    assert.equal(picked?.why, why)
  })
}

test('a key sticks, whatever chance says', () => {
  for (let visitor = 0; visitor < 100; visitor += 1) {
    const picked = [0, 0.5, 0.99].map((random) => pickDeployment(two, key(`visitor-${visitor}`), random)?.deployment.id)
    assert.equal(new Set(picked).size, 1)
  }
})

test('keys spread as the percentages say, and few move when these change', () => {
  const grown = program(['old', 1, 60], ['new', 2, 40])
  let before = 0
  let after = 0
  for (let visitor = 0; visitor < 10_000; visitor += 1) {
    const a = pickDeployment(two, key(`${visitor}`), 0)?.deployment.id
    const b = pickDeployment(grown, key(`${visitor}`), 0)?.deployment.id
    if (a === 'new') before += 1
    if (b === 'new') after += 1
    if (a === 'new') assert.equal(b, 'new', 'a visitor on the new deployment stays there while it grows')
  }
  assert.ok(before > 2800 && before < 3200, `${before}`)
  assert.ok(after > 3800 && after < 4200, `${after}`)
})
