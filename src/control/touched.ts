/** What a change touches, for whoever compares states. Pure. */
import { resourceKey } from '#/core/resources.ts'
import type { Change, ChangeNumber, State } from './fold.ts'
import { keyOf } from './placements.ts'

/** What a change touches, by kind and key. */
export function keysOf({
  programs = [],
  sites = [],
  services = [],
  domains = [],
  placements = [],
  resources = [],
}: Change): string[] {
  return [
    ...programs.map(({ name }) => `program ${name}`),
    ...sites.map(({ name }) => `site ${name}`),
    ...services.flatMap(({ id, tables = [] }) => [
      `service ${id}`,
      ...tables.map((table) => `table ${id}/${table.id}`),
    ]),
    ...domains.map(({ domain }) => `rules of domain ${domain}`),
    ...placements.map((one) => `placement ${keyOf(one)}`),
    ...resources.map(({ kind, id }) => `resource ${resourceKey(kind, id)}`),
  ]
}

/** Was anything that the change touched another before? */
export function differs(
  { programs, sites, services, domains, placements, resources }: Change,
  before: State,
  after: State,
): boolean {
  const other = <Key>(keys: readonly Key[], one: Held<Key>, two: Held<Key>) =>
    keys.some((key) => one.get(key)?.revision !== two.get(key)?.revision)
  return (
    other(
      (programs ?? []).map(({ name }) => name),
      before.programs,
      after.programs,
    ) ||
    other(
      (sites ?? []).map(({ name }) => name),
      before.sites,
      after.sites,
    ) ||
    other(
      (services ?? []).map(({ id }) => id),
      before.services,
      after.services,
    ) ||
    other(
      (domains ?? []).map(({ domain }) => domain),
      before.domains,
      after.domains,
    ) ||
    other((placements ?? []).map(keyOf), before.placements, after.placements) ||
    other(
      (resources ?? []).map(({ kind, id }) => resourceKey(kind, id)),
      before.resources,
      after.resources,
    )
  )
}

type Held<Key> = ReadonlyMap<Key, { readonly revision: ChangeNumber }>
