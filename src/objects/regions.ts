/**
 * The regions of location hints. https://developers.cloudflare.com/durable-objects/reference/data-location/
 * A country is in one region; Canada, Mexico and the United States are in both of North America, because a PoP says its
 * country only.
 */
import type { CountryCode } from '#/core/pops.ts'

const regions = {
  wnam: 'CA MX US',
  enam: 'BM CA GL MX PM US',
  sam:
    'AG AI AR AW BB BL BO BQ BR BS BZ CL CO CR CU CW DM DO EC FK GD GF GP GS GT GY HN HT JM KN KY LC MF MQ MS NI PA PE PR ' +
    'PY SR SV SX TC TT UY VC VE VG VI',
  weur: 'AD AT BE CH DE DK ES FO FR GB GG GI IE IM IS IT JE LI LU MC MT NL NO PT SE SJ SM VA',
  eeur: 'AL AM AX AZ BA BG BY CY CZ EE FI GE GR HR HU KZ LT LV MD ME MK PL RO RS RU SI SK TR UA',
  'apac-ne': 'CN HK JP KP KR MN MO TW',
  'apac-se': 'BD BN BT ID IN IO KH LA LK MM MV MY NP PH PK SG TH TL VN',
  oc: 'AS AU CC CK CX FJ FM GU HM KI MH MP NC NF NR NU NZ PF PG PN PW SB TF TK TO TV UM VU WF WS',
  afr:
    'AO BF BI BJ BV BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG ' +
    'RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW',
  me: 'AE AF BH IL IQ IR JO KG KW LB OM PS QA SA SY TJ TM UZ YE',
} as const

type Region = keyof typeof regions

const byCountry = new Map<CountryCode, Region[]>()
for (const [region, codes] of Object.entries(regions) as [Region, string][])
  for (const code of codes.split(' ')) byCountry.set(code, [...(byCountry.get(code) ?? []), region])

/** Empty for a country that is in no list, such as Antarctica or `XX`. */
export function regionsOf(country: CountryCode): readonly Region[] {
  return byCountry.get(country) ?? []
}

/** A hint and where to look when it has no PoP, in this order. */
const near: Readonly<Record<string, readonly Region[]>> = {
  wnam: ['wnam', 'enam', 'sam'],
  enam: ['enam', 'wnam', 'sam'],
  sam: ['sam', 'enam', 'wnam'],
  weur: ['weur', 'eeur'],
  eeur: ['eeur', 'weur'],
  apac: ['apac-se', 'apac-ne', 'oc'],
  'apac-ne': ['apac-ne', 'apac-se'],
  'apac-se': ['apac-se', 'apac-ne', 'oc'],
  oc: ['oc', 'apac-se', 'apac-ne'],
  afr: ['afr', 'me', 'weur', 'eeur'],
  me: ['me', 'eeur', 'weur', 'afr'],
}

/** Empty for no hint, and for one that nobody knows. */
export function regionsNear(hint: string | undefined): readonly Region[] {
  return hint !== undefined && Object.hasOwn(near, hint) ? near[hint]! : []
}
