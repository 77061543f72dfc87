import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressesOnly, loopWithoutHosts, viaWithoutNames } from './client-fields.ts'

test('what stays of what clients say', () => {
  const table: [(value: string) => string | undefined, string, string | undefined][] = [
    [addressesOnly, '192.0.2.1, 127.0.0.1', '192.0.2.1, 127.0.0.1'],
    [addressesOnly, 'evil.example, <b>, bad.cafe, 2001:db8::1', '2001:db8::1'],
    [addressesOnly, '192.0.2.1:80, [2001:db8::1]:443, [2001:db8::2]', '192.0.2.1:80, [2001:db8::1]:443, [2001:db8::2]'],
    [addressesOnly, 'unknown', undefined],
    [addressesOnly, '192.0.2.1:evil, [evil]:1', undefined],
    [viaWithoutNames, '1.1 evil.example (<b>), 1.1 rimward', '1.1 unnamed, 1.1 rimward'],
    [viaWithoutNames, 'HTTP/2 front, evil', 'HTTP/2 unnamed'],
    [viaWithoutNames, '2 rimward', '2 rimward'],
    [loopWithoutHosts, 'cloudflare; loops=1, evil.example, rimward', 'cloudflare; loops=1, rimward'],
    [loopWithoutHosts, 'akamai;v=1.0;c=1, x; trace="<b>", "q", /a', 'akamai; v=1.0; c=1, x'],
  ]
  for (const [keep, value, expected] of table) assert.equal(keep(value), expected, value)
})
