import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bucketOfOrigin, bucketOrigin, type CorsRule, corsHeaders, preflightHeaders } from './bucket-settings.ts'

const rules: readonly CorsRule[] = [
  {
    allowed: {
      origins: ['https://*.example.com', 'http://localhost:3000'],
      methods: ['GET', 'PUT'],
      headers: ['X-*', 'content-type'],
    },
    exposeHeaders: ['ETag', 'X-One'],
    maxAgeSeconds: 60,
  },
  { allowed: { origins: ['*'], methods: ['GET'] } },
]

const answers: [origin: string | undefined, method: string, allowed: string | undefined, exposed?: string][] = [
  ['https://a.example.com', 'GET', 'https://a.example.com', 'ETag, X-One'],
  ['http://localhost:3000', 'PUT', 'http://localhost:3000', 'ETag, X-One'],
  ['https://example.com', 'GET', '*'],
  ['https://other.test', 'PUT', undefined],
  [undefined, 'GET', undefined],
]
for (const [origin, method, allowed, exposed] of answers)
  test(`${method} of a page at ${origin} sees ${allowed}`, () => {
    const headers = corsHeaders(rules, { origin, method })
    assert.equal(headers['access-control-allow-origin'], allowed)
    assert.equal(headers['access-control-expose-headers'], exposed)
    assert.equal(headers.vary, 'Origin')
  })

const preflights: [origin: string, method: string, headers: string | undefined, isAllowed: boolean][] = [
  ['https://a.example.com', 'PUT', 'x-two, Content-Type', true],
  ['https://a.example.com', 'PUT', 'authorization', false],
  ['https://other.test', 'GET', undefined, true],
  ['https://other.test', 'GET', 'x-two', false],
  ['https://other.test', 'DELETE', undefined, false],
]
for (const [origin, method, headers, isAllowed] of preflights)
  test(`a preflight of ${origin} for ${method} with ${headers} is ${isAllowed ? 'allowed' : 'refused'}`, () => {
    assert.equal(preflightHeaders(rules, { origin, method, headers }) !== undefined, isAllowed)
  })

test('without rules nothing is said, and origins of buckets are known again', () => {
  assert.deepEqual(corsHeaders([], { origin: 'https://a.test', method: 'GET' }), {})
  const id = '0a0a0a0a-0b0b-4c4c-8d8d-0e0e0e0e0e0e'
  assert.equal(bucketOfOrigin(new URL(bucketOrigin(id)).hostname), id)
  assert.equal(bucketOfOrigin('example.com'), undefined)
})
