/** `rimward env`: what a shell needs so that unmodified wrangler and fastly reach this node. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import { obtainToken, readNodeFile } from '../data-folder.ts'
import { parseAddress } from '../parse-flags.ts'
import type { Terminal } from '../terminal.ts'

export interface EnvFlags {
  readonly data: string
  readonly api?: string
  readonly json?: boolean
}

/** POSIX: single quotes hold everything but a single quote. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

export interface Endpoint {
  /** Base URL of the control API, without a slash at the end. */
  readonly api: string
  readonly token: string
  /** Unknown before the first `up` on a folder: wrangler then asks the API, which names one account. */
  readonly accountId: string | undefined
}

/** The variables, in the order they are printed. */
export function variablesFor({ api, token, accountId }: Endpoint): Record<string, string> {
  return {
    CLOUDFLARE_API_BASE_URL: `${api}/client/v4`,
    CLOUDFLARE_API_TOKEN: token,
    ...(accountId !== undefined && { CLOUDFLARE_ACCOUNT_ID: accountId }),
    FASTLY_API_ENDPOINT: api,
    FASTLY_API_TOKEN: token,
    FASTLY_ACCOUNT_ENDPOINT: api,
    WRANGLER_SEND_METRICS: 'false',
  }
}

function endpointOf(flags: EnvFlags, terminal: Terminal): Endpoint {
  const folder = resolve(terminal.folder, flags.data)
  if (!existsSync(folder)) {
    throw new Complaint(`There is no data folder ${folder}. Start a node with "rimward up", or give --data.`)
  }
  const node = readNodeFile(folder)
  const named = flags.api ?? terminal.env.RIMWARD_API
  if (named !== undefined && !/^https?:\/\//.test(named)) parseAddress('--api', named)
  const api =
    named === undefined ? (node?.addresses.api ?? 'http://127.0.0.1:8081') : named.replace(/^(?!https?:)/, 'http://')
  return {
    api: api.replace(/\/+$/, ''),
    token: obtainToken(folder, terminal.env.RIMWARD_TOKEN),
    accountId: node?.accountId,
  }
}

export function env(flags: EnvFlags, terminal: Terminal): void {
  const variables = variablesFor(endpointOf(flags, terminal))
  if (flags.json) {
    terminal.out(JSON.stringify(variables, null, 2))
    return
  }
  for (const [name, value] of Object.entries(variables)) terminal.out(`export ${name}=${shellQuote(value)}`)
}

export function addEnv(program: Command, terminal: Terminal): void {
  program
    .command('env')
    .description('print the export lines that point wrangler and fastly at this node')
    .option('--data <folder>', 'data folder of the node', './.rimward')
    .option('--api <url>', 'address of the control API, if not the one last used on this folder')
    .option('--json', 'print a JSON object')
    .addHelpText('after', '\nUse: eval "$(npx rimward env)"')
    .action((flags: EnvFlags) => env(flags, terminal))
}
