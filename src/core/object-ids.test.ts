import assert from 'node:assert/strict'
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { idKey, jurisdictionCodes, jurisdictionOf, withinOf } from './object-ids.ts'

const key = 'a-namespace'

/** As workerd proves a namespace: `actor-id-impl.c++`. */
const whole = (own: Buffer) =>
  Buffer.concat([own, createHmac('sha256', idKey(key)).update(own).digest().subarray(0, 16)]).toString('hex')

function idIn(code: string, free = randomBytes(10)): string {
  const proof = createHmac('sha256', idKey(key)).update('jurisdiction').update(free).update(code).digest()
  return whole(Buffer.concat([free, proof.subarray(0, 4), Buffer.from(code)]))
}

test('an id says its jurisdiction to who has the key, and an ordinary one says none', () => {
  for (const [name, code] of Object.entries(jurisdictionCodes())) {
    assert.equal(code.length, 2, name)
    assert.equal(jurisdictionOf(key, idIn(code)), name)
    assert.equal(jurisdictionOf('another', idIn(code)), undefined)
    assert.ok((withinOf(name)?.length ?? 0) > 0, name)
  }
  for (let index = 0; index < 1000; index++) assert.equal(jurisdictionOf(key, whole(randomBytes(16))), undefined)
  assert.equal(jurisdictionOf(key, idIn('zz')), undefined)
  assert.deepEqual(withinOf('de'), ['DE'])
  assert.deepEqual(withinOf('fedramp'), ['US'])
  assert.equal(withinOf('zz'), undefined)
  assert.equal(withinOf('constructor'), undefined)
  assert.equal(idKey(key).toString('hex'), createHash('sha256').update(key).digest('hex'))
})
