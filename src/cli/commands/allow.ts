/** `rimward allow`: which private destinations a program may fetch from. */
import type { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import { findNode, type NodeOptions } from '../find-node.ts'
import { nodeFlags } from '../node-flags.ts'
import { type Terminal, table } from '../terminal.ts'

interface AllowFlags extends NodeOptions {
  readonly list?: boolean
  readonly remove?: boolean
  readonly json?: boolean
}

interface Rule {
  readonly program: string
  readonly destination: string
}

const path = '/rimward/v1/egress-rules'

async function list(flags: AllowFlags, terminal: Terminal): Promise<void> {
  const { rules } = await findNode(terminal, flags).json<{ rules: Rule[] }>('GET', path)
  if (flags.json) return terminal.out(JSON.stringify(rules, null, 2))
  if (rules.length === 0) return terminal.out('No private destination is allowed.')
  for (const line of table([['PROGRAM', 'DESTINATION'], ...rules.map((one) => [one.program, one.destination])]))
    terminal.out(line)
}

async function allow(
  name: string | undefined,
  destination: string | undefined,
  flags: AllowFlags,
  terminal: Terminal,
): Promise<void> {
  if (flags.list) {
    if (flags.remove || name !== undefined) throw new Complaint('--list stands alone.')
    return list(flags, terminal)
  }
  if (name === undefined || destination === undefined) {
    throw new Complaint('allow takes NAME and DESTINATION, such as "rimward allow shop 10.0.0.5:5432"; or --list.')
  }
  const node = findNode(terminal, flags)
  if (flags.remove) {
    const query = new URLSearchParams({ program: name, destination })
    await node.json<undefined>('DELETE', `${path}?${query}`)
  } else {
    await node.json<unknown>('POST', path, { program: name, destination })
  }
  if (flags.json) return terminal.out(JSON.stringify({ program: name, destination, allowed: !flags.remove }))
  terminal.out(
    flags.remove ? `"${name}" may no longer fetch from ${destination}.` : `"${name}" may fetch from ${destination}.`,
  )
}

export function addAllow(program: Command, terminal: Terminal): void {
  nodeFlags(
    program
      .command('allow')
      .argument('[name]', 'program')
      .argument('[destination]', 'address, network or host name, with or without a port')
      .description('let a program fetch from a private address'),
  )
    .option('--list', 'list what is allowed')
    .option('--remove', 'take the permission back')
    .action((name, destination, flags) => allow(name, destination, flags, terminal))
}
