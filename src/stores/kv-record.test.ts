import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeMetadata, decodeRecord, encodeRecord, headOf, type KvRecord } from './kv-record.ts'

test('a record comes back as it was; its head gives the metadata', () => {
  const metadata = JSON.stringify({ é: 'x'.repeat(900) })
  const records: KvRecord[] = [
    { kind: 'inline', value: Buffer.from([]) },
    { kind: 'inline', value: Buffer.from([0, 255, 1]), metadata },
    { kind: 'blob', hash: 'ab'.repeat(32) },
    { kind: 'blob', hash: '0f'.repeat(32), metadata },
  ]
  for (const record of records) {
    const bytes = new Uint8Array(encodeRecord(record))
    assert.deepEqual(
      decodeRecord(bytes),
      record.kind === 'inline' ? { ...record, value: new Uint8Array(record.value) } : record,
    )
    assert.equal(decodeMetadata(bytes.subarray(0, headOf(1024))), record.metadata)
  }
})

test('a kind of a later version is not guessed at', () => {
  assert.throws(() => decodeRecord(Uint8Array.of(3, 0, 0)), /unknown kind 3/)
})
