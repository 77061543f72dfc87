import assert from 'node:assert/strict'
import { test } from 'node:test'
import { acceptsCoding, acceptsPlain, chooseCoding, parseAcceptEncoding } from './accept-encoding.ts'

test('which coding a client gets (RFC 9110 §12.5.3)', () => {
  const table: [string | undefined, string][] = [
    [undefined, 'identity'],
    ['', 'identity'],
    ['gzip', 'gzip'],
    ['x-gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['br', 'br'],
    ['zstd', 'zstd'],
    ['deflate', 'identity'],
    ['compress, gzip', 'gzip'],
    ['gzip, deflate, br', 'br'],
    ['gzip, deflate, br, zstd', 'zstd'],
    ['zstd;q=0.5, br;q=0.8, gzip;q=0.7', 'br'],
    ['gzip;q=1.0, br;q=0.1', 'gzip'],
    ['gzip;q=0', 'identity'],
    ['gzip;q=0.000', 'identity'],
    ['gzip;q=0.001', 'gzip'],
    ['gzip ; q=0.5 , br ; q=0.4', 'gzip'],
    ['br;q=0, gzip', 'gzip'],
    ['identity', 'identity'],
    ['identity, gzip;q=0.5', 'identity'],
    ['identity;q=0.5, gzip;q=0.5', 'gzip'],
    ['identity;q=0, br', 'br'],
    ['*', 'gzip'],
    ['*;q=0', 'identity'],
    ['gzip;q=0, *', 'identity'],
    ['br, *;q=0', 'br'],
    ['*;q=0.1, br;q=0.2', 'br'],
    ['gzip;q=2', 'identity'],
    ['gzip;q=x, br;q=0.1', 'br'],
    ['gzip;level=9', 'gzip'],
    [',,gzip,', 'gzip'],
  ]
  for (const [field, expected] of table)
    assert.equal(chooseCoding(parseAcceptEncoding(field)), expected, field ?? 'no field')
})

test('whether plain bytes may be sent', () => {
  const table: [string | undefined, boolean][] = [
    [undefined, true],
    ['', true],
    ['gzip', true],
    ['identity;q=0', false],
    ['gzip, identity;q=0.0', false],
    ['*;q=0', false],
    ['*;q=0, identity', true],
    ['*;q=0, identity;q=0.5', true],
  ]
  for (const [field, expected] of table)
    assert.equal(acceptsPlain(parseAcceptEncoding(field)), expected, field ?? 'no field')
})

test('whether a coded answer may pass as it is', () => {
  const table: [string | undefined, 'br' | 'gzip', boolean][] = [
    [undefined, 'gzip', false],
    ['gzip', 'gzip', true],
    ['gzip', 'br', false],
    ['*', 'br', true],
    ['br;q=0, *', 'br', false],
  ]
  for (const [field, coding, expected] of table)
    assert.equal(acceptsCoding(parseAcceptEncoding(field), coding), expected, field ?? 'no field')
})
