/** `rimward env`: what a shell needs so that unmodified wrangler and fastly reach this node. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import type { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import { defaultDataFolder, findDataFolder, obtainToken, readNodeFile } from '../data-folder.ts'
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

/** wrangler 4 refuses to run on an older one. */
const wranglerNode = 22

/**
 * The PATH on which wrangler finds a Node that it accepts, or undefined when the shell's own is new enough. npx puts
 * folders of its own in front, which the shell does not have.
 */
export function pathForWrangler(path: string, own: string, majorIn: (folder: string) => number | undefined) {
  const folders = path.split(delimiter)
  while (/[/\\]node_modules[/\\]|[/\\]node-gyp-bin$/.test(folders[0] ?? '')) folders.shift()
  const first = folders.map(majorIn).find((major) => major !== undefined)
  if (first !== undefined && first >= wranglerNode) return undefined
  return [own, ...folders].join(delimiter)
}

/** Major version of the Node in a folder. */
function majorOfNode(folder: string): number | undefined {
  const ran = spawnSync(join(folder, 'node'), ['--version'], { encoding: 'utf8' })
  const major = /^v(\d+)\./.exec(ran.stdout ?? '')?.[1]
  return major === undefined ? undefined : Number(major)
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
    // Secrets are sealed with a key of this node, not with one that the CLI has built in.
    FASTLY_USE_API_SIGNING_KEY: '1',
    WRANGLER_SEND_METRICS: 'false',
  }
}

export function endpointOf(flags: EnvFlags, terminal: Terminal): Endpoint {
  const folder = findDataFolder(terminal.folder, flags.data)
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
  const path = pathForWrangler(terminal.env.PATH ?? '', dirname(process.execPath), majorOfNode)
  const variables = { ...variablesFor(endpointOf(flags, terminal)), ...(path !== undefined && { PATH: path }) }
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
    .option('--data <folder>', 'data folder of the node', defaultDataFolder)
    .option('--api <url>', 'address of the control API, if not the one last used on this folder')
    .option('--json', 'print a JSON object')
    .addHelpText('after', '\nUse: eval "$(npx rimward env)"')
    .action((flags: EnvFlags) => {
      try {
        env(flags, terminal)
      } catch (error) {
        // `eval "$(rimward env)" && wrangler deploy` must end here, and not deploy to Cloudflare.
        if (!flags.json) terminal.out('false')
        throw error
      }
    })
}
