import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Slots, slotOf } from './slots.ts'

test('a number is of one thing, and of no other once that has gone', () => {
  const slots = new Slots<string>()
  const [first, second] = [slots.add('first'), slots.add('second')]
  assert.notEqual(slotOf(first), slotOf(second))
  assert.equal(slots.get(first), 'first')
  slots.remove(first)
  slots.remove(first)
  const third = slots.add('third')
  assert.equal(slotOf(third), slotOf(first), 'its slot is used again')
  assert.equal(slots.get(first), undefined)
  slots.remove(first)
  assert.deepEqual(slots.all(), ['third', 'second'])
})

test('numbers are positive, have 31 bits, and come again late', () => {
  const slots = new Slots<number>()
  const seen = new Set<number>()
  for (let count = 1; count < 2048; count++) {
    const number = slots.add(count)
    assert.ok(number > 0 && number <= 0x7fff_ffff && Number.isInteger(number))
    assert.ok(!seen.has(number))
    seen.add(number)
    slots.remove(number)
  }
  assert.ok(seen.has(slots.add(0)))
})
