import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findPlaced } from './residency.ts'

const all = [
  { kind: 'site', id: 'shop', name: 'shop' },
  { kind: 'program', id: 'chat', name: 'chat' },
  { kind: 'kv', id: 'a1', name: 'chat' },
  { kind: 'kv', id: 'a2', name: 'notes' },
  { kind: 'access-list', id: 'a3', name: 'blocked' },
  { kind: 'log', id: 'log', name: 'log' },
] as const

test('things are named by name, id, or with their kind', () => {
  const cases: [string, string][] = [
    ['shop', 'site/shop'],
    ['notes', 'kv/a2'],
    ['a1', 'kv/a1'],
    ['kv:chat', 'kv/a1'],
    ['program:chat', 'program/chat'],
    ['acl:blocked', 'access-list/a3'],
    ['log', 'log/log'],
    ['program:to-come', 'program/to-come'],
    ['site:to-come', 'site/to-come'],
  ]
  for (const [text, expected] of cases) {
    const { kind, id } = findPlaced(text, all)
    assert.equal(`${kind}/${id}`, expected, text)
  }
})

test('what is unknown, or known several times, is refused by name', () => {
  const cases: [string, RegExp][] = [
    ['chat', /several called "chat"; name one of program:chat, kv:a1/],
    ['to-come', /no site, program, service or store "to-come".*program:NAME/],
    ['kv:to-come', /"kv:to-come"/],
    ['program:../x', /"program:\.\.\/x"/],
  ]
  for (const [text, message] of cases) assert.throws(() => findPlaced(text, all), { message })
})
