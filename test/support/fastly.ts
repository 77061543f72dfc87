/** The real `fastly` CLI, pointed at a node. */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type Ran, run } from './node.ts'

/** The binary for this machine lies in a package of its own beside the CLI's. */
function binary(): string {
  const require = createRequire(import.meta.url)
  const cli = createRequire(require.resolve('@fastly/cli/package.json'))
  return join(dirname(cli.resolve(`@fastly/cli-${process.platform}-${process.arch}/package.json`)), 'fastly')
}

/** A node, or what stands for one. */
export interface ForFastly {
  readonly data: string
  readonly token: string
  readonly addresses: { readonly api: string }
  readonly output: () => string
}

/** How the CLI is started for a node; it asks no questions, and being quiet, does not wait for word of a newer release. */
export function fastlyProcess(node: ForFastly, args: readonly string[], cwd: string = node.data) {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    HOME: node.data,
    XDG_CONFIG_HOME: node.data,
    FASTLY_API_ENDPOINT: node.addresses.api,
    FASTLY_ACCOUNT_ENDPOINT: node.addresses.api,
    FASTLY_API_TOKEN: node.token,
    // The platform signs with a key of its own.
    FASTLY_USE_API_SIGNING_KEY: '1',
    FASTLY_WASM_METADATA_DISABLE: 'true',
  }
  return { command: binary(), args: [...args, '--non-interactive', '--quiet'], cwd, env }
}

/** Fails the test with the CLI's whole output when it fails and `mayFail` is not set. */
export async function fastly(
  node: ForFastly,
  args: readonly string[],
  options: { readonly mayFail?: boolean; readonly cwd?: string; readonly input?: string } = {},
): Promise<Ran> {
  const started = fastlyProcess(node, args, options.cwd)
  const ran = await run(started.command, started.args, {
    cwd: started.cwd,
    env: started.env,
    ...(options.input !== undefined && { input: options.input }),
  })
  if (ran.code !== 0 && options.mayFail !== true)
    throw new Error(`fastly ${args.join(' ')} ended with ${ran.code}:\n${ran.output}\n--- node:\n${node.output()}`)
  return ran
}
