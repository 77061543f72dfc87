/** Rows of the compatibility page for Fastly Compute. */
import type { Area, Row } from './rows.ts'

const row = (state: Row['state'], feature: string, story: string, note?: string): Row => ({
  feature,
  state,
  proof: { story },
  ...(note !== undefined && { note }),
})

export const computeArea: Area = {
  title: 'fastly, for Compute',
  rows: [
    row('works', '`compute publish`, `compute deploy`', 'compute publish'),
    row('works', '`compute build`, `validate`, `hash-files`, `init --from FOLDER`', 'compute build'),
    row('works', '`compute update`, `service version activate` (and back)', 'compute versions'),
    row(
      'works differently',
      '`service version stage`, `unstage`',
      'compute staging',
      'beside an active version, for requests with `rimward-staging: 1`: there is no address of its own',
    ),
    row('works', 'a package that cannot be used changes nothing', 'compute bad package'),
    row('works', '`config-store`, `config-store-entry`', 'compute config stores'),
    row('works differently', '`kv-store`, `kv-store-entry`', 'compute kv stores', 'one location'),
    row(
      'works differently',
      '`secret-store`, `secret-store-entry`',
      'compute secret stores',
      'needs `FASTLY_USE_API_SIGNING_KEY=1`, which `rimward env` sets',
    ),
    row('works', '`compute acl`', 'compute access lists'),
    row('works', '`service resource-link`', 'compute links'),
    row(
      'works differently',
      '`service logging https`, `syslog`',
      'compute logging',
      'a program writes whole lines: formats have no effect; other kinds are refused',
    ),
    row('works', '`log-tail`', 'compute log-tail'),
    row('refused', '`products --enable`', 'compute products', 'fanout, image optimizer and the others, by name'),
    row(
      'works differently',
      '`stats historical`',
      'compute stats',
      'since the node’s start; bytes of bodies; regions and usage are refused; `stats realtime` asks rt.fastly.com, whose call `/v1/channel/…` is here',
    ),
    row('works', '`service healthcheck` of a backend, `is_healthy`', 'compute health'),
    row(
      'works',
      'a Worker that binds a Compute program',
      'compute from a Worker',
      '`fetch` only; entrypoints, `props` and RPC are refused by name',
    ),
    row('works', '`rimward deploy` of a folder with a `fastly.toml`', 'compute rimward deploy'),
  ],
}
