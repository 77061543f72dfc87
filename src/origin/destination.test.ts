import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDestination } from './destination.ts'

test('hosts are read as the connection will read them', () => {
  const hosts: [string, string, number][] = [
    ['http://example.com', 'example.com', 80],
    ['https://EXAMPLE.com:443/x', 'example.com', 443],
    ['http://2130706433/', '127.0.0.1', 80],
    ['http://0x7f.1/', '127.0.0.1', 80],
    ['http://0177.0.0.1/', '127.0.0.1', 80],
    ['http://127.1:8081/', '127.0.0.1', 8081],
    ['http://127.0.0.1./', '127.0.0.1', 80],
    ['http://[::1]:1/', '::1', 1],
    ['http://[::ffff:127.0.0.1]/', '::ffff:7f00:1', 80],
    ['http://LOCALHOST./', 'localhost', 80],
    ['http://１２７.0.0.1/', '127.0.0.1', 80],
    ['http://evil.example\\@127.0.0.1/', 'evil.example', 80],
    ['http:127.0.0.1/', '127.0.0.1', 80],
  ]
  for (const [url, host, port] of hosts) {
    const destination = parseDestination(url)
    assert.deepEqual([destination.host, destination.port], [host, port], url)
  }
})

test('a path stays as it was written', () => {
  const paths: [string, string][] = [
    ['http://a', '/'],
    ['http://a?q', '/?q'],
    ['http://a/b/../c%41/./d//e?x=1;y#f', '/b/../c%41/./d//e?x=1;y'],
    ['http://a/%2e%2e/|"<>', '/%2e%2e/|"<>'],
    ['http://a/ü b', '/%C3%BC%20b'],
    ['http://a#f', '/'],
  ]
  for (const [url, path] of paths) assert.equal(parseDestination(url).path, path, url)
})

test('what is no http URL is refused', () => {
  for (const url of [
    '/x',
    'ftp://a/',
    'file:///etc/passwd',
    'http://u:p@a/',
    'http://',
    'http://256.1.1.1/',
    'http://a..b/',
    'javascript:1',
  ])
    assert.throws(() => parseDestination(url), { code: 'egress_refused' }, url)
})
