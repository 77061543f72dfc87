import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AddressKind, classifyAddress, normalAddress } from './address-policy.ts'

const table: Record<AddressKind, readonly string[]> = {
  public: ['8.8.8.8', '1.1.1.1', '2606:4700::1111', '::ffff:8.8.8.8', '64:ff9b::8.8.8.8', '172.32.0.1', '100.128.0.1'],
  unspecified: ['0.0.0.0', '0.1.2.3', '::', '::ffff:0.0.0.0'],
  loopback: [
    '127.0.0.1',
    '127.255.255.254',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
  ],
  private: [
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '::ffff:10.1.2.3',
    '64:ff9b::a00:1',
    '::ffff:0:a00:1',
  ],
  'link-local': ['169.254.1.1', 'fe80::1', 'fe80::1%eth0', 'febf::1'],
  'carrier-grade-nat': ['100.64.0.1', '100.127.255.255'],
  'unique-local': ['fc00::1', 'fd12:3456::1'],
  multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1'],
  broadcast: ['255.255.255.255'],
  metadata: [
    '169.254.169.254',
    '::ffff:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    'fd00:ec2::254',
    '168.63.129.16',
    '100.100.100.200',
  ],
  reserved: [
    '192.0.0.1',
    '192.0.2.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.1',
    '192.88.99.1',
    '240.0.0.1',
    '2001:db8::1',
    '2002:7f00:1::1',
    '2002:808:808::1',
    '2001::1',
    '100::1',
    'fec0::1',
    '64:ff9b:1::7f00:1',
    '5f00::1',
    '4000::1',
    '127.1',
    '0177.0.0.1',
    '2130706433',
    '0x7f.1',
    'localhost',
    '',
  ],
}

test('every address has its kind', () => {
  for (const [kind, addresses] of Object.entries(table))
    for (const address of addresses) assert.equal(classifyAddress(address), kind, address)
})

test('one address is always the same text', () => {
  assert.equal(normalAddress('::ffff:10.0.0.1'), '10.0.0.1')
  assert.equal(normalAddress('2001:0DB8:0:0::1'), '2001:db8::1')
  assert.equal(normalAddress('fe80::1%lo'), 'fe80::1')
})
