import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { missingSecrets } from './compute-stores.ts'
import { readManifest } from './fastly-manifest.ts'

const name = 'name = "a"\n'

test('what does not fit a fastly.toml, or is not supported, is said with its place', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rimward-manifest-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'fastly.toml')
  const read = (text: string) => {
    writeFileSync(path, text)
    return readManifest(path)
  }
  const cases: [string, RegExp][] = [
    ['', /"name": /],
    ['name = 3', /"name": /],
    ['name = "a', /line 1, column/],
    [`${name}[scripts]\nbuild = 3`, /"scripts.build": /],
    [`${name}[setup.products.fanout]\nenable = true`, /"setup.products" is not supported by "rimward deploy"/],
    [`${name}[local_server.geolocation]\nfile = "x"`, /"local_server.geolocation" is not supported/],
    [`${name}[local_server.pushpin]\nenable = true`, /"local_server.pushpin" is not supported/],
    [`${name}[local_server.backends.o]\nurl = "ftp://x"`, /"local_server.backends.o.url": /],
    [`${name}[local_server.backends.o]\nurl = "http://x"\nca_certificate = "x"`, /ca_certificate" is not supported/],
    [`${name}[local_server.config_stores.c]\nformat = "yaml"`, /"local_server.config_stores.c/],
    [`${name}[[local_server.kv_stores.k]]\ndata = "x"`, /"local_server.kv_stores.k/],
  ]
  for (const [text, message] of cases) assert.throws(() => read(text), { name: 'Complaint', message }, text)

  const good = read(`${name}service_id = ""\n[setup.secret_stores.s.entries.one]\n[setup.secret_stores.s.entries.two]
[[local_server.secret_stores.s]]\nkey = "one"\ndata = "x"`)
  assert.deepEqual(
    [good.name, good.serviceId, good.build, missingSecrets(good)],
    ['a', undefined, undefined, ['s/two']],
  )
})
