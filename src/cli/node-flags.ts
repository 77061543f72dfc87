import type { Command } from 'commander'
import { defaultDataFolder } from './data-folder.ts'

/** The flags of every command that talks to a running node. */
export function nodeFlags(command: Command): Command {
  return command
    .option('--data <folder>', 'data folder of the node', defaultDataFolder)
    .option('--api <url>', 'control API of the node, if not on this machine (or RIMWARD_API)')
    .option('--json', 'print JSON')
}
