/** Countries that may hold something: their codes, groups of them, and how people write them. */
import type { Within } from './pops.ts'

/** ISO 3166-1 alpha-2, officially assigned codes (ISO 3166 Maintenance Agency, 249 of them). */
const assigned =
  'AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ ' +
  'CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR ' +
  'GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP ' +
  'KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT ' +
  'MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW ' +
  'SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ ' +
  'UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW'

export const countries: ReadonlySet<string> = new Set(assigned.split(' '))

/** Member states of the European Union. */
const eu = 'AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK'.split(' ')

/** `fedramp` is Cloudflare's name for places in the United States («Durable Objects > Data location»). */
export const countryGroups: ReadonlyMap<string, Within> = new Map([
  ['eu', eu],
  ['eea', [...eu, 'IS', 'LI', 'NO'].toSorted()],
  ['fedramp', ['US']],
])

/** Codes that people write and ISO does not have. */
const mistaken: ReadonlyMap<string, string> = new Map([
  ['UK', 'GB'],
  ['EL', 'GR'],
])

export type WithinParse =
  /** `within` undefined: anywhere. */
  | { readonly ok: true; readonly within: Within | undefined }
  /** `why` is one sentence that names what is wrong and what would be right. */
  | { readonly ok: false; readonly why: string }

/** Reads `DE,FR`, `eu`, `eu,CH` or `anywhere`, in any case; countries come back in order, each once. */
export function parseWithin(text: string): WithinParse {
  const words = text.split(/[\s,]+/).filter((word) => word !== '')
  if (words.length === 0)
    return { ok: false, why: `Name countries such as DE,FR or a group such as eu, or "anywhere".` }
  if (words.some((word) => word.toLowerCase() === 'anywhere'))
    return words.length === 1
      ? { ok: true, within: undefined }
      : { ok: false, why: '"anywhere" stands alone: it and countries exclude each other.' }
  const found = new Set<string>()
  for (const word of words) {
    const codes = countryGroups.get(word.toLowerCase()) ?? [word.toUpperCase()]
    if (codes.length === 1 && !countries.has(codes[0]!)) return { ok: false, why: unknownCode(word) }
    for (const code of codes) found.add(code)
  }
  return { ok: true, within: [...found].toSorted() }
}

function unknownCode(word: string): string {
  const instead = mistaken.get(word.toUpperCase())
  const hint =
    instead === undefined ? `groups are ${[...countryGroups.keys()].join(', ')}` : `ISO 3166-1 has ${instead}`
  return `There is no country "${word.slice(0, 40)}" in ISO 3166-1 (codes such as DE or FR; ${hint}).`
}

/** Countries in both; undefined where both say anywhere, empty where they have none in common. */
export function intersect(one: Within | undefined, other: Within | undefined): Within | undefined {
  if (one === undefined) return other
  return other === undefined ? one : one.filter((code) => other.includes(code))
}

/** Is everything that `inner` allows allowed by `outer` too? */
export function isInside(inner: Within | undefined, outer: Within | undefined): boolean {
  if (outer === undefined) return true
  return inner?.every((code) => outer.includes(code)) ?? false
}

export function sameWithin(one: Within | undefined, other: Within | undefined): boolean {
  return isInside(one, other) && isInside(other, one)
}

/** As people write it: a group's name where it is one, else the codes, else `anywhere`; `parseWithin` reads it back. */
export function describeWithin(within: Within | undefined): string {
  if (within === undefined) return 'anywhere'
  for (const [name, codes] of countryGroups) if (within.length > 1 && sameWithin(within, codes)) return name
  return within.join(',')
}
