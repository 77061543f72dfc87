import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatHttpDate, parseHttpDate } from './http-date.ts'

const now = Date.UTC(2026, 5, 1)
const when = Date.UTC(1994, 10, 6, 8, 49, 37)

const rows: [string, number | undefined][] = [
  ['Sun, 06 Nov 1994 08:49:37 GMT', when],
  ['Sunday, 06-Nov-94 08:49:37 GMT', when],
  ['Sun Nov  6 08:49:37 1994', when],
  ['sUN, 06 nOV 1994 08:49:37 gmt', when],
  ['Sunday, 06-Nov-70 08:49:37 GMT', Date.UTC(2070, 10, 6, 8, 49, 37)],
  ['Sunday, 06-Nov-77 08:49:37 GMT', Date.UTC(1977, 10, 6, 8, 49, 37)],
  ['Thu, 18 Aug 9999 02:01:18 GMT', Date.UTC(9999, 7, 18, 2, 1, 18)],
  ['Sun, 06 Nov 1994 08:49:60 GMT', Date.UTC(1994, 10, 6, 8, 50, 0)],
  ['Sun, 06 Nov 1994 08:49:37 UTC', undefined],
  ['Sun, 06 Nov 94 08:49:37 GMT', undefined],
  ['Sun 06 Nov 1994 08:49:37 GMT', undefined],
  ['Sun, 06-Nov-1994 08:49:37 GMT', undefined],
  ['Sun, 06 Nov 1994 8:49:37 GMT', undefined],
  ['Sun, 06 Nov 1994 08.49.37 GMT', undefined],
  ['Sun, 31 Feb 1994 08:49:37 GMT', undefined],
  ['Sun, 06 Nov 1994 24:00:00 GMT', undefined],
  ['Sun,  06 Nov 1994 08:49:37 GMT', undefined],
  ['0', undefined],
  ['', undefined],
]
for (const [text, expected] of rows) test(`date: ${text}`, () => assert.equal(parseHttpDate(text, now), expected))

test('what is written is read', () => assert.equal(parseHttpDate(formatHttpDate(when + 500), now), when))
