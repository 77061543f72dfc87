import assert from 'node:assert/strict'
import { test } from 'node:test'
import { offsetOf, placeJson } from './place-json.ts'

test('a place with all that a city database knows', () => {
  const place = JSON.parse(
    placeJson({
      country: 'BR',
      city: 'São Paulo',
      region: 'SP',
      postalCode: '01000',
      latitude: -23.5,
      longitude: -46.6,
      asn: 28573,
      asOrganization: 'Claro',
      timezone: 'America/Sao_Paulo',
    }),
  )
  assert.deepEqual(place, {
    as_name: 'Claro',
    as_number: 28573,
    area_code: 0,
    city: 'sao paulo',
    conn_speed: 'broadband',
    conn_type: '?',
    continent: 'SA',
    country_code: 'BR',
    country_code3: 'BRA',
    country_name: 'brazil',
    latitude: -23.5,
    longitude: -46.6,
    metro_code: -1,
    postal_code: '01000',
    proxy_description: '?',
    proxy_type: '?',
    region: 'SP',
    gmt_offset: -300,
    utc_offset: -300,
  })
})

test('what is not known has the values for it', () => {
  const { country_code, country_name, continent, country_code3, utc_offset } = JSON.parse(placeJson({}))
  assert.deepEqual([country_code, country_name, continent, country_code3, utc_offset], ['?', '?', '?', '?', 0])
})

test('offsets', () => {
  const winter = new Date('2026-01-15T12:00:00Z')
  const cases: [string, number | undefined][] = [
    ['Etc/UTC', 0],
    ['Asia/Kolkata', 530],
    ['America/New_York', -500],
    ['Nowhere/At_All', undefined],
  ]
  for (const [zone, offset] of cases) assert.equal(offsetOf(zone, winter), offset, zone)
})
