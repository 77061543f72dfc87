import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refuseKey, refusePrefix, refuseValue } from './kv-rules.ts'
import { defaultLimits } from './limits.ts'

test('keys', () => {
  const cases: [string, string | undefined, number?][] = [
    ['k', undefined],
    ['é'.repeat(256), undefined],
    ['...', undefined],
    ['', 'Key names must not be empty', 400],
    ['.', 'Illegal key name ".". Please use a different name.', 400],
    ['..', 'Illegal key name "..". Please use a different name.', 400],
    ['\ud800', 'Key names must be well-formed Unicode', 400],
    ['k'.repeat(513), 'UTF-8 encoded length of 513 exceeds key length limit of 512.', 414],
    ['é'.repeat(257), 'UTF-8 encoded length of 514 exceeds key length limit of 512.', 414],
  ]
  for (const [key, message, status] of cases) {
    const refusal = refuseKey(key, 512)
    assert.equal(refusal?.message, message, key.slice(0, 9))
    assert.equal(refusal?.row.status, status)
  }
  assert.equal(refusePrefix('', 512), undefined)
  assert.equal(refusePrefix('k'.repeat(513), 512)?.row.status, 414)
})

test('values and metadata', () => {
  const limits = defaultLimits
  assert.equal(
    refuseValue(limits.kvValueBytes, JSON.stringify('m'.repeat(limits.kvMetadataBytes - 2)), limits),
    undefined,
  )
  const value = refuseValue(limits.kvValueBytes + 1, undefined, limits)
  assert.equal(value?.message, 'Value length of 26214401 exceeds limit of 26214400.')
  const metadata = refuseValue(0, JSON.stringify('m'.repeat(limits.kvMetadataBytes - 1)), limits)
  assert.equal(metadata?.message, 'Metadata length of 4097 exceeds limit of 4096.')
  for (const refusal of [value, metadata]) assert.equal(refusal?.row.status, 413)
  assert.equal(refuseValue(0, '{', limits)?.row.status, 400)
})
