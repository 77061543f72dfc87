import assert from 'node:assert/strict'
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { digest, keyedDigest } from './inside/rimward-sha256.worker.ts'

test('SHA-256 and HMAC are those of everybody', () => {
  for (let length = 0; length < 200; length++) {
    const bytes = randomBytes(length)
    const key = randomBytes(length % 65)
    const hex = (found: Uint8Array) => Buffer.from(found).toString('hex')
    assert.equal(hex(digest(bytes)), createHash('sha256').update(bytes).digest('hex'), `${length} bytes`)
    assert.equal(hex(keyedDigest(key, bytes)), createHmac('sha256', key).update(bytes).digest('hex'), `${length} bytes`)
  }
})
