import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countries, countryGroups, describeWithin, intersect, isInside, parseWithin, sameWithin } from './residency.ts'

test('ISO 3166-1 has 249 codes, and every group is made of them', () => {
  assert.equal(countries.size, 249)
  for (const code of countries) assert.match(code, /^[A-Z]{2}$/)
  assert.equal(countryGroups.get('eu')!.length, 27)
  assert.equal(countryGroups.get('eea')!.length, 30)
  for (const [name, codes] of countryGroups)
    for (const code of codes) assert.ok(countries.has(code), `${name}: ${code}`)
})

test('countries and groups are read in any case and come back in order, each once', () => {
  const cases: [string, readonly string[] | undefined][] = [
    ['DE', ['DE']],
    ['fr, de', ['DE', 'FR']],
    ['DE FR,DE', ['DE', 'FR']],
    ['eu', countryGroups.get('eu')],
    ['EU,ch', [...countryGroups.get('eu')!, 'CH'].toSorted()],
    ['fedramp', ['US']],
    ['us', ['US']],
    ['anywhere', undefined],
  ]
  for (const [text, within] of cases) assert.deepEqual(parseWithin(text), { ok: true, within }, text)
})

test('what is no country is named in the refusal', () => {
  const cases: [string, RegExp][] = [
    ['XX', /no country "XX"/],
    ['DE,UK', /no country "UK".*GB/],
    ['Germany', /no country "Germany"/],
    ['', /Name countries/],
    [' , ', /Name countries/],
    ['DE,anywhere', /stands alone/],
    ['eu-west', /no country "eu-west"/],
    ['x'.repeat(5000), /no country "x{40}"/],
  ]
  for (const [text, why] of cases) {
    const read = parseWithin(text)
    assert.equal(read.ok, false, text)
    assert.match(read.ok ? '' : read.why, why)
  }
})

test('sets of countries: intersection, inclusion, equality, words', () => {
  assert.deepEqual(intersect(['DE', 'FR'], ['FR', 'US']), ['FR'])
  assert.deepEqual(intersect(['DE'], ['US']), [])
  assert.deepEqual(intersect(undefined, ['US']), ['US'])
  assert.equal(intersect(undefined, undefined), undefined)
  assert.ok(isInside(['DE'], ['DE', 'FR']) && isInside(['DE'], undefined) && isInside(undefined, undefined))
  assert.ok(!isInside(undefined, ['DE']) && !isInside(['DE', 'US'], ['DE']))
  assert.ok(sameWithin(['FR', 'DE'], ['DE', 'FR']) && !sameWithin(['DE'], undefined))
  for (const text of ['anywhere', 'eu', 'eea', 'DE,FR', 'US']) {
    const read = parseWithin(text)
    assert.equal(describeWithin(read.ok ? read.within : []), text)
  }
})
