/** `rimward pops` and `rimward invite`: the nodes of the platform; `rimward rollout`: which of them serves a change first. */
import type { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import { findNode, type NodeOptions } from '../find-node.ts'
import { nodeFlags } from '../node-flags.ts'
import { type Terminal, table } from '../terminal.ts'

interface PopsFlags extends NodeOptions {
  readonly json?: boolean
}

interface Pops {
  readonly pops: {
    node: string
    pop: string
    country: string
    http?: string
    https?: string
    state: string
    revision: number
    lag: number
    lagMs: number
    ageMs: number
    heardAt: string
    requestsPerSecond: number
    failure?: string
  }[]
}

type Node = Pops['pops'][number]

const seconds = (ms: number): string => (ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`)

/** What is to be said of a node besides its numbers. */
function remarks({ state, lag, lagMs, ageMs, failure }: Node): string {
  if (failure !== undefined) return failure
  if (state === 'away') return `out of reach of the others for ${seconds(ageMs)}`
  return lag > 0 ? `${lag} behind for ${seconds(lagMs)}` : ''
}

async function pops(flags: PopsFlags, terminal: Terminal): Promise<void> {
  const list = await findNode(terminal, flags).json<Pops>('GET', '/rimward/v1/pops')
  if (flags.json) return terminal.out(JSON.stringify(list.pops, null, 2))
  const rows = list.pops.map((one) => [
    one.pop,
    one.country,
    one.node,
    one.state,
    String(one.revision),
    String(one.requestsPerSecond),
    [one.http, one.https].filter(Boolean).join(' ') || '-',
    remarks(one),
  ])
  const head = ['POP', 'COUNTRY', 'NODE', 'STATE', 'SERVES', 'REQUESTS/S', 'ANSWERS AT', '']
  for (const line of table([head, ...rows])) terminal.out(line)
  for (const line of await copiesOf(terminal, flags)) terminal.out(line)
}

interface Copies {
  readonly stream: string
  readonly copies: number
  readonly current: number
  readonly behind: readonly string[]
}

/** Of what the nodes share on NATS: whether another of its servers may be taken down. */
async function copiesOf(terminal: Terminal, flags: PopsFlags): Promise<readonly string[]> {
  try {
    const { copies } = await findNode(terminal, flags).json<{ copies: Copies[] }>('GET', '/rimward/v1/copies')
    return describeCopies(copies)
  } catch (error) {
    if (error instanceof Complaint) return [`copies: not known: ${error.message}`]
    throw error
  }
}

/** The stream that lacks most speaks for all. */
export function describeCopies(all: readonly Copies[]): readonly string[] {
  const [worst] = all.toSorted((one, other) => other.behind.length - one.behind.length || other.copies - one.copies)
  if (worst === undefined) return []
  const lacking = [...new Set(all.flatMap(({ behind }) => behind))].sort()
  const remark = lacking.length === 0 ? '' : `; not on ${lacking.join(', ')}: take no other NATS server down yet`
  return [`copies: ${worst.current} of ${worst.copies} current${remark}`]
}

interface InviteFlags extends PopsFlags {
  readonly pop?: string
  readonly country?: string
  readonly expires: string
}

async function invite({ pop, country, expires, ...flags }: InviteFlags, terminal: Terminal): Promise<void> {
  const lifeSeconds = Math.round(parseTime('--expires', expires) / 1000)
  const wish = { lifeSeconds, ...(pop !== undefined && { pop }), ...(country !== undefined && { country }) }
  const path = '/rimward/v1/invites'
  const made = await findNode(terminal, flags).json<{ token: string; expiresAt: string }>('POST', path, wish)
  if (flags.json) return terminal.out(JSON.stringify(made, null, 2))
  terminal.out(made.token)
  terminal.err(`It lets one machine in, until ${made.expiresAt}: rimward up --join URL --invite TOKEN`)
}

async function remove(name: string, flags: PopsFlags, terminal: Terminal): Promise<void> {
  await findNode(terminal, flags).json<unknown>('DELETE', `/rimward/v1/pops/${encodeURIComponent(name)}`)
  terminal.out(flags.json ? JSON.stringify({ removed: name }) : `The node ${name} is no longer part of the platform.`)
}

interface RolloutFlags extends PopsFlags {
  readonly canary?: string
  readonly window: string
}

interface Rollout {
  readonly canary: { readonly pop: string; readonly windowMs: number } | null
}

async function rollout(flags: RolloutFlags, terminal: Terminal): Promise<void> {
  const node = findNode(terminal, flags)
  const path = '/rimward/v1/rollout'
  const { canary } =
    flags.canary === undefined
      ? await node.json<Rollout>('GET', path)
      : await node.json<Rollout>('PUT', path, {
          canary: flags.canary === 'off' ? null : { pop: flags.canary, windowMs: parseTime('--window', flags.window) },
        })
  if (flags.json) return terminal.out(JSON.stringify({ canary }, null, 2))
  if (canary === null) return terminal.out('A change goes to all points of presence at once.')
  terminal.out(
    `A change goes to ${canary.pop} first, for ${seconds(canary.windowMs)}; the others follow if it does well.`,
  )
}

/** Milliseconds. */
function parseTime(flag: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text)
  if (match === null) throw new Complaint(`${flag} takes a time such as 10s; got "${text}".`)
  return Number(match[1]) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[(match[2] ?? 's') as 'ms' | 's' | 'm' | 'h']
}

export function addPops(program: Command, terminal: Terminal): void {
  const list = nodeFlags(program.command('pops').description('list the points of presence and what each serves'))
  list.action((flags: PopsFlags) => pops(flags, terminal))
  nodeFlags(list.command('remove <node>').description('remove a node that left the platform for good')).action(
    (name: string, flags: PopsFlags) => remove(name, flags, terminal),
  )
  nodeFlags(program.command('invite').description('make an invitation for one machine to join the platform'))
    .option('--pop <id>', 'the only point of presence that it may belong to')
    .option('--country <code>', 'the only country that it may be in')
    .option('--expires <time>', 'how long it is good', '1h')
    .action((flags: InviteFlags) => invite(flags, terminal))
  nodeFlags(program.command('rollout').description('show or set which point of presence serves a change first'))
    .option('--canary <pop>', 'serves each change before the others do; "off": all at once')
    .option('--window <time>', 'for so long', '10s')
    .action((flags: RolloutFlags) => rollout(flags, terminal))
}
