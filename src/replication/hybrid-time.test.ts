import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hybridTime, isLater, nextTime, physical, platformOffset } from './hybrid-time.ts'
import { createPlatformClock } from './platform-clock.ts'

test('of two writes the later wins, of the same time the greater writer; no write is later than itself', () => {
  const cases: [one: [number, string], other: [number, string], later: boolean][] = [
    [[2, 'a'], [1, 'b'], true],
    [[1, 'b'], [2, 'a'], false],
    [[1, 'b'], [1, 'a'], true],
    [[1, 'a'], [1, 'b'], false],
    [[1, 'a'], [1, 'a'], false],
  ]
  for (const [[time, writer], [otherTime, otherWriter], later] of cases)
    assert.equal(isLater({ time, writer }, { time: otherTime, writer: otherWriter }), later)
})

test('a write is later than the one it replaces, whatever the clock says', () => {
  const now = 1_800_000_000_000
  assert.equal(physical(nextTime(now, undefined)), now)
  assert.equal(nextTime(now, hybridTime(now - 5)), hybridTime(now))
  const ahead = hybridTime(now + 3_600_000)
  assert.equal(nextTime(now, ahead), ahead + 1)
  // So many in one millisecond run into the next one, exactly.
  assert.equal(physical(nextTime(now, hybridTime(now) + 2047)), now + 1)
  assert.ok(Number.isSafeInteger(hybridTime(Date.UTC(2100, 0))))
})

test('the clock that most agree on; of two, the one behind', () => {
  const hour = 3_600_000
  const cases: [offsets: number[], correction: number][] = [
    [[], 0],
    [[100], 0],
    [[-100, -120], 0],
    [[hour], 0],
    [[-hour], -hour],
    [[hour, hour + 3], hour],
    [[-hour, 2], 0],
    [[-hour, -hour - 9, hour], -hour],
  ]
  for (const [offsets, correction] of cases) assert.equal(platformOffset(offsets, 250), correction, `${offsets}`)
})

test('a clock that is set moves no stamps once a peer was measured', () => {
  let wall = 1_000_000
  let steady = 0
  const pass = (ms: number) => {
    wall += ms
    steady += ms
  }
  const clock = createPlatformClock({ clock: () => wall, monotonic: () => steady, tolerance: 250 })
  wall += 3_600_000
  assert.equal(clock.now(), wall, 'nobody was measured: its own clock')
  clock.measured('one', wall - 3_600_000, 0)
  clock.measured('two', wall - 3_600_000, 20)
  assert.ok(Math.abs(clock.now() - 1_000_000) <= 10)
  assert.equal(clock.skewOf('one'), -3_600_000)
  pass(500)
  wall -= 3_600_000
  assert.ok(Math.abs(clock.now() - 1_000_500) <= 10, 'set right, while the others are in reach')
  clock.measured('one', 1_000_500, 0)
  clock.measured('two', 1_000_500, 0)
  assert.ok(Math.abs(clock.now() - 1_000_500) <= 10)
})
