/** All commands in one commander program. */
import { Command } from 'commander'
import { addAllow } from './commands/allow.ts'
import { addCert } from './commands/cert.ts'
import { addDeploy } from './commands/deploy.ts'
import { addEnv } from './commands/env.ts'
import { addLogs } from './commands/logs.ts'
import { addNatsConfig } from './commands/nats-config.ts'
import { addPops } from './commands/pops.ts'
import { addPurge } from './commands/purge.ts'
import { addR2 } from './commands/r2.ts'
import { addResidency } from './commands/residency.ts'
import { addShow } from './commands/show.ts'
import { addSite } from './commands/site.ts'
import { addUp, type UpDependencies } from './commands/up.ts'

export interface ProgramOptions extends UpDependencies {
  readonly version: string
}

/** Unknown commands, flags and missing arguments end with one sentence and exit code 1. */
export function createProgram(options: ProgramOptions): Command {
  const { terminal } = options
  const program = new Command('rimward')
    .description('An open edge platform for servers you own.')
    .version(options.version)
    // Flags behind a command's own command are that one's.
    .enablePositionalOptions()
    .showHelpAfterError('Try "rimward --help", or --help after a command.')
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'rimward: ')),
    })
  addUp(program, options)
  addEnv(program, terminal)
  addDeploy(program, terminal)
  addLogs(program, terminal)
  addShow(program, terminal)
  addPops(program, terminal)
  addSite(program, terminal)
  addPurge(program, terminal)
  addAllow(program, terminal)
  addCert(program, terminal)
  addR2(program, terminal)
  addResidency(program, terminal)
  addNatsConfig(program, terminal, options.now)
  for (const command of descendants(program)) command.copyInheritedSettings(program)
  return program
}

function descendants(command: Command): Command[] {
  return command.commands.flatMap((child) => [child as Command, ...descendants(child as Command)])
}
