/** `rimward pops`: the nodes of the platform; `rimward rollout`: which of them serves a change first. */
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
          canary: flags.canary === 'off' ? null : { pop: flags.canary, windowMs: parseWindow(flags.window) },
        })
  if (flags.json) return terminal.out(JSON.stringify({ canary }, null, 2))
  if (canary === null) return terminal.out('A change goes to all points of presence at once.')
  terminal.out(
    `A change goes to ${canary.pop} first, for ${seconds(canary.windowMs)}; the others follow if it does well.`,
  )
}

function parseWindow(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text)
  if (match === null) throw new Complaint(`--window takes a time such as 10s; got "${text}".`)
  return Number(match[1]) * { ms: 1, s: 1000, m: 60_000 }[(match[2] ?? 's') as 'ms' | 's' | 'm']
}

export function addPops(program: Command, terminal: Terminal): void {
  nodeFlags(program.command('pops').description('list the points of presence and what each serves')).action(
    (flags: PopsFlags) => pops(flags, terminal),
  )
  nodeFlags(program.command('rollout').description('show or set which point of presence serves a change first'))
    .option('--canary <pop>', 'serves each change before the others do; "off": all at once')
    .option('--window <time>', 'for so long', '10s')
    .action((flags: RolloutFlags) => rollout(flags, terminal))
}
