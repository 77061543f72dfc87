/** Every command of the unmodified CLI for services, versions and stores, each tried once, in the order in which somebody would. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { forCli, startComputePlatform } from '../support/compute-platform.ts'
import { fastly } from '../support/fastly.ts'
import { packageOf } from '../support/tar.ts'

/** A command and what it prints; `{name}` stands for what an earlier row made, the first group of its pattern is kept as `name`. */
type Row = readonly [command: string, prints: RegExp, name?: string]

const services: readonly Row[] = [
  ['whoami', /./],
  ['auth add tried --api-token {token}', /tried/],
  ['auth list', /tried/],
  ['auth show tried', /tried/],
  ['auth use tried', /tried/],
  ['profile list', /tried/],
  ['auth delete tried', /./],
  ['service create --name Tried --type wasm', /Created service (\w+)/, 'service'],
  ['service list', /Tried/],
  ['service describe --service-id {service}', /Name: Tried/],
  ['service search --name Tried', /Tried/],
  ['service update --service-id {service} --comment hello', /Updated service/],
  ['service domain create --service-id {service} --version 1 --name tried.example.test', /Created domain/],
  ['service domain list --service-id {service} --version 1', /tried\.example\.test/],
  ['service domain describe --service-id {service} --version 1 --name tried.example.test', /tried/],
  ['service domain update --service-id {service} --version 1 --name tried.example.test --comment a', /Updated domain/],
  ['service domain validate --service-id {service} --version 1 --name tried.example.test', /tried\.example\.test/],
  ['service healthcheck create --service-id {service} --version 1 --name up --path /up', /Created healthcheck/],
  ['service healthcheck list --service-id {service} --version 1', /up/],
  ['service healthcheck update --service-id {service} --version 1 --name up --path /down', /Updated healthcheck/],
  ['service healthcheck describe --service-id {service} --version 1 --name up', /\/down/],
  ['service backend create --service-id {service} --version 1 --name o --address o.example.test', /Created backend/],
  ['service backend list --service-id {service} --version 1', /o\.example\.test/],
  ['service backend update --service-id {service} --version 1 --name o --healthcheck up --tcp-ka-time 30', /Updated/],
  ['service backend describe --service-id {service} --version 1 --name o', /o\.example\.test/],
  ['service dictionary create --service-id {service} --version 1 --name moved', /Created dictionary/],
  ['service dictionary list --service-id {service} --version 1 --json', /"DictionaryID": "(\w+)"/, 'dictionary'],
  ['service dictionary describe --service-id {service} --version 1 --name moved', /moved/],
  ['service dictionary-entry create --service-id {service} --dictionary-id {dictionary} --key a --value b', /Created/],
  ['service dictionary-entry update --service-id {service} --dictionary-id {dictionary} --key a --value c', /Updated/],
  ['service dictionary-entry describe --service-id {service} --dictionary-id {dictionary} --key a', /c/],
  ['service dictionary-entry list --service-id {service} --dictionary-id {dictionary}', /a/],
  ['service dictionary-entry delete --service-id {service} --dictionary-id {dictionary} --key a', /Deleted/],
  [
    'service logging https create --service-id {service} --version 1 --name far --url https://far.example.test',
    /Created/,
  ],
  ['service logging https list --service-id {service} --version 1', /far/],
  ['service logging https update --service-id {service} --version 1 --name far --content-type text/plain', /Updated/],
  ['service logging https describe --service-id {service} --version 1 --name far', /text\/plain/],
  ['service logging https delete --service-id {service} --version 1 --name far', /Deleted/],
  ['service logging syslog create --service-id {service} --version 1 --name sys --address s.example.test', /Created/],
  ['service logging syslog list --service-id {service} --version 1', /sys/],
  ['service logging syslog update --service-id {service} --version 1 --name sys --address t.example.test', /Updated/],
  ['service logging syslog describe --service-id {service} --version 1 --name sys', /t\.example\.test/],
  ['service logging syslog delete --service-id {service} --version 1 --name sys', /Deleted/],
]

const stores: readonly Row[] = [
  ['config-store create --name settings --json', /"id": "(\w+)"/, 'config'],
  ['config-store list', /settings/],
  ['config-store update --store-id {config} --name renamed', /Updated/],
  ['config-store describe --store-id {config}', /renamed/],
  ['config-store list-services --store-id {config}', /./],
  ['config-store-entry create --store-id {config} --key a --value b', /Created/],
  ['config-store-entry update --store-id {config} --key a --value c', /Updated/],
  ['config-store-entry list --store-id {config}', /a/],
  ['config-store-entry describe --store-id {config} --key a', /c/],
  ['config-store-entry delete --store-id {config} --key a', /Deleted/],
  ['kv-store create --name notes --json', /"StoreID": "(\w+)"/, 'kv'],
  ['kv-store list', /notes/],
  ['kv-store describe --store-id {kv}', /notes/],
  ['kv-store-entry create --store-id {kv} --key a/b --value one --metadata noted', /Created/],
  ['kv-store-entry list --store-id {kv}', /a\/b/],
  ['kv-store-entry get --store-id {kv} --key a/b', /one/],
  ['kv-store-entry describe --store-id {kv} --key a/b', /a\/b/],
  ['kv-store-entry delete --store-id {kv} --key a/b', /Deleted/],
  ['secret-store create --name keys --json', /"id": "([\w-]+)"/, 'secret'],
  ['secret-store list', /keys/],
  ['secret-store describe --store-id {secret}', /keys/],
  ['secret-store-entry create --store-id {secret} --name s --file {folder}/secret', /Created/],
  ['secret-store-entry list --store-id {secret}', /s/],
  ['secret-store-entry describe --store-id {secret} --name s', /s/],
  ['secret-store-entry delete --store-id {secret} --name s', /Deleted/],
  ['compute acl create --name visitors --json', /"id": "(\w+)"/, 'acl'],
  ['compute acl list-acls', /visitors/],
  ['compute acl describe --acl-id {acl}', /visitors/],
  ['compute acl update --acl-id {acl} --operation create --prefix 192.0.2.0/24 --action BLOCK', /./],
  ['compute acl lookup --acl-id {acl} --ip 192.0.2.1', /BLOCK/],
  ['compute acl list-entries --acl-id {acl}', /192\.0\.2\.0/],
  [
    'service resource-link create --service-id {service} --version 1 --resource-id {config} --name s --json',
    /"id": "(\w+)"/,
    'link',
  ],
  ['service resource-link list --service-id {service} --version 1', /s/],
  ['service resource-link describe --service-id {service} --version 1 --id {link}', /config/],
  ['service resource-link update --service-id {service} --version 1 --id {link} --name t', /Updated/],
]

const versions: readonly Row[] = [
  ['compute validate --package {folder}/p.tar.gz', /Validated/],
  ['compute hash-files --package {folder}/p.tar.gz', /[0-9a-f]{128}/],
  ['compute update --service-id {service} --version 1 --package {folder}/p.tar.gz', /Updated package/],
  ['service version validate --service-id {service} --version 1', /valid/i],
  ['service version update --service-id {service} --version 1 --comment first', /Updated/],
  ['service version activate --service-id {service} --version 1', /Activated/],
  ['service version clone --service-id {service} --version 1', /Cloned/],
  ['service version lock --service-id {service} --version 2', /Locked/],
  ['service version activate --service-id {service} --version 2', /Activated/],
  ['service version clone --service-id {service} --version 2', /Cloned/],
  ['service version stage --service-id {service} --version 3', /Staged/],
  ['service version list --service-id {service}', /3/],
  ['service version unstage --service-id {service} --version 3', /Unstaged/],
  ['config-store list-services --store-id {config}', /Tried/],
  ['service purge --service-id {service} --all', /Purge/i],
  ['service purge --service-id {service} --key k --soft', /Purge/i],
  ['service purge --service-id {service} --url http://tried.example.test/a', /Purge/i],
  ['service purge --service-id {service} --file {folder}/keys', /two/],
  ['stats historical --service-id {service}', /./],
  ['service version deactivate --service-id {service} --version 2', /Deactivated/],
  ['service version clone --service-id {service} --version 2', /Cloned/],
]

const removals: readonly Row[] = [
  ['service resource-link delete --service-id {service} --version 4 --id {link}', /Deleted/],
  ['service dictionary delete --service-id {service} --version 4 --name moved', /Deleted/],
  ['service backend delete --service-id {service} --version 4 --name o', /Deleted/],
  ['service healthcheck delete --service-id {service} --version 4 --name up', /Deleted/],
  ['service domain delete --service-id {service} --version 4 --name tried.example.test', /Deleted/],
  ['service delete --service-id {service} --force', /Deleted service/],
  ['compute acl delete --acl-id {acl}', /Deleted/],
  ['config-store delete --store-id {config}', /Deleted/],
  ['kv-store delete --store-id {kv}', /Deleted/],
  ['secret-store delete --store-id {secret}', /Deleted/],
]

/** What is refused says what it is. */
const refused: readonly Row[] = [
  ['products --service-id {service} --enable fanout', /'fanout' is not supported/],
  ['domain list', /not supported/],
  ['stats usage', /not supported/],
  ['stats regions', /not supported/],
  ['stats domain-inspector --service-id {service}', /not supported/],
  ['stats origin-inspector --service-id {service}', /not supported/],
  ['tls-subscription list', /not supported/],
]

test('every command is answered', async (t) => {
  const platform = await startComputePlatform(t)
  const folder = join(platform.data, 'files')
  await mkdir(folder)
  await writeFile(join(folder, 'secret'), 'hunter2')
  await writeFile(join(folder, 'keys'), 'one\ntwo\n')
  const files = [
    { name: 'p/fastly.toml', content: 'name = "p"\n' },
    { name: 'p/bin/main.wasm', content: Buffer.from('0061736d01000000', 'hex') },
  ]
  await writeFile(join(folder, 'p.tar.gz'), packageOf(files))
  const known: Record<string, string> = { folder, token: platform.token }
  const wrong: string[] = []

  async function tryAll(rows: readonly Row[], succeeds: boolean): Promise<void> {
    for (const [command, prints, name] of rows) {
      const args = command.replace(/\{(\w+)\}/g, (_, one: string) => known[one] ?? `{${one}}`).split(' ')
      const { code, output } = await fastly(forCli(platform), args, { mayFail: true })
      const found = prints.exec(output)
      if ((code === 0) !== succeeds || found === null) wrong.push(`${command} (exit ${code}): ${output.slice(0, 400)}`)
      if (name !== undefined && found?.[1] !== undefined) known[name] = found[1]
    }
  }
  for (const rows of [services, stores, versions]) await tryAll(rows, true)
  await tryAll(refused, false)
  await tryAll(removals, true)
  assert.deepEqual(wrong, [])
  assert.deepEqual(platform.bugs, [])
})
