/** `rimward r2 keys`: what S3 clients need to reach the buckets of this platform. */
import type { Command } from 'commander'
import { accessKeysOf } from '#/core/access-keys.ts'
import { defaultDataFolder } from '../data-folder.ts'
import type { Terminal } from '../terminal.ts'
import { type EnvFlags, endpointOf, shellQuote } from './env.ts'

/** Not among the lines of `rimward env`: they would hide the keys that a person has for AWS. */
function showKeys(flags: EnvFlags, terminal: Terminal): void {
  const { api, token } = endpointOf(flags, terminal)
  const keys = { ...accessKeysOf(token), endpoint: `${api}/s3`, region: 'auto' }
  if (flags.json) {
    terminal.out(JSON.stringify(keys, null, 2))
    return
  }
  const variables = {
    AWS_ACCESS_KEY_ID: keys.accessKeyId,
    AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
    AWS_ENDPOINT_URL_S3: keys.endpoint,
    AWS_REGION: keys.region,
  }
  for (const [name, value] of Object.entries(variables)) terminal.out(`export ${name}=${shellQuote(value)}`)
}

export function addR2(program: Command, terminal: Terminal): void {
  const r2 = program.command('r2').description('buckets of objects')
  r2.command('keys')
    .description('print the export lines that point S3 clients at the buckets of this platform')
    .option('--data <folder>', 'data folder of the node', defaultDataFolder)
    .option('--api <url>', 'address of the control API, if not the one last used on this folder')
    .option('--json', 'print a JSON object')
    .addHelpText('after', '\nClients address buckets by path: forcePathStyle, addressing_style = path.')
    .action((flags: EnvFlags) => showKeys(flags, terminal))
}
