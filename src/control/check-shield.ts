/** May a PoP be the shield of a site? */
import { allows, type Place, type PopId, type Within } from '#/core/pops.ts'
import { Refusal } from './refusal.ts'

/** Throws a `Refusal` (`bad_address`) that names the PoPs there are. */
export function checkShield(shield: PopId | undefined, within: Within | undefined, places: readonly Place[]): void {
  if (shield === undefined) return
  const found = places.filter(({ pop }) => pop === shield)
  const names = [...new Set(places.map(({ pop }) => pop))].toSorted().join(', ')
  if (found.length === 0)
    throw new Refusal(
      'bad_address',
      `There is no point of presence '${shield.slice(0, 80)}' to be a shield${names === '' ? '' : `; there are ${names}`}.`,
    )
  if (!found.every(({ country }) => allows(within, country)))
    throw new Refusal(
      'bad_address',
      `The shield '${shield}' stands in ${found[0]!.country}, which is outside the countries of this site (${within!.join(', ')}).`,
    )
}
