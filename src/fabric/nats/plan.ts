/**
 * Configurations of NATS servers for Rimward, as text: three copies, synced before they are acknowledged, TLS, tags that
 * say where a server stands, and a user for each point of presence that may touch nothing but what it needs.
 */
import { nkeys } from '@nats-io/transport-node'
import { allows, type CountryCode, type Within } from '#/core/pops.ts'
import { createNames, placeTag } from './names.ts'

export interface PlannedServer {
  readonly host: string
  /** For clients; servers meet at `port + 2000`, leaf nodes at `port + 3200`, as 4222, 6222 and 7422 by default. */
  readonly port: number
  readonly country?: CountryCode
}

export interface PlannedPop {
  readonly name: string
  readonly country: CountryCode
  /** Public nkey of its user. */
  readonly user: string
  /** It reaches the cluster through a server of its own beside it. */
  readonly leaf?: boolean
}

export interface NatsPlan {
  readonly platform: string
  readonly servers: readonly PlannedServer[]
  readonly pops: readonly PlannedPop[]
  /** Sets of countries that something is to lie within. */
  readonly places: readonly Within[]
  /** Public nkeys: of who makes the streams, and of who looks after the servers. */
  readonly admin: string
  readonly system: string
  /** Folder of certificates on each server: `ca.crt`, `HOST.crt`, `HOST.key`. */
  readonly certificates: string
  /** Folder of the streams on each server. */
  readonly store: string
}

/** A user's key: the seed is the secret, the public key stands in configurations. */
export function createUserKey(): { readonly seed: string; readonly user: string } {
  const pair = nkeys.createUser()
  return { seed: new TextDecoder().decode(pair.getSeed()), user: pair.getPublicKey() }
}

/** The public key of a seed; throws when it is damaged. */
export function userOfSeed(seed: string): string {
  return nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey()
}

/** Configuration of one server of the cluster. */
export function serverConfiguration(plan: NatsPlan, server: PlannedServer): string {
  const { servers, pops, admin, system, store } = plan
  const name = nameOf(plan, server)
  return `# NATS for Rimward: server ${name}. Made by \`rimward nats-config\`; needs nats-server 2.10.10 or later.
server_name: ${quote(name)}
listen: ${quote(`0.0.0.0:${server.port}`)}
client_advertise: ${quote(`${server.host}:${server.port}`)}
server_tags: ${list(tagsOf(plan, server))}

${tls(plan, server, '')}

jetstream {
  # Leaf nodes ask for it by this name.
  domain: ${quote(plan.platform)}
  store_dir: ${quote(`${store}/${name}`)}
  # A write is acknowledged when it is on the disk.
  sync_interval: always
}
${servers.length > 1 ? cluster(plan, server) : ''}
leafnodes {
  listen: ${quote(`0.0.0.0:${server.port + 3200}`)}
${tls(plan, server, '  ')}
}

accounts {
  RIMWARD {
    jetstream: enabled
    users: [
      # Makes the streams: \`rimward nats-config --apply\`. No node uses it.
      { nkey: ${admin} }
${pops.map((pop) => user(pop, pop.leaf ? leafRightsOf(plan, pop) : rightsOf(plan, pop))).join('\n')}
    ]
  }
  SYS { users: [ { nkey: ${system} } ] }
}
system_account: SYS
`
}

/**
 * Configuration of a server beside a far point of presence: it keeps nothing, holds one line to the cluster and hands on what its
 * PoP asks, with that PoP's rights. The seed of its user stands in it: it is a secret.
 */
export function leafConfiguration(plan: NatsPlan, pop: PlannedPop, seed: string, port = 4222): string {
  const urls = plan.servers.map(({ host, port: own }) => `tls://${host}:${own + 3200}`)
  return `# NATS for Rimward: beside the point of presence ${pop.name}. Made by \`rimward nats-config\`.
server_name: ${quote(`leaf-${pop.name}`)}
listen: ${quote(`127.0.0.1:${port}`)}

leafnodes {
  reconnect: 1s
  remotes: [
    {
      urls: ${list(urls)}
      nkey: ${seed}
      account: RIMWARD
      tls { ca_file: ${quote(`${plan.certificates}/ca.crt`)} }
    }
  ]
}

accounts {
  RIMWARD {
    users: [
${user(pop, rightsOf(plan, pop, `$JS.${plan.platform}.API`))}
    ]
  }
}
`
}

/** Sets of countries whose streams a place in this country may use. */
export function placesOf(plan: Pick<NatsPlan, 'places'>, country: CountryCode): readonly Within[] {
  return plan.places.filter((within) => allows(within, country))
}

interface Rights {
  /** Absent: everything that is not denied. */
  readonly publish?: readonly string[]
  readonly deny?: readonly string[]
  readonly subscribe: readonly string[]
}

/** What a user of a point of presence may say to NATS and hear from it. */
export function rightsOf(plan: Pick<NatsPlan, 'places' | 'platform'>, pop: PlannedPop, api = '$JS.API'): Rights {
  const names = createNames(plan.platform)
  const places = placesOf(plan, pop.country)
  const roots = [names.anywhere, names.blobs, ...places.map((within) => names.placed(within))]
  const streams = [names.stream, names.blobStream, ...places.map((within) => names.placedStream(within))]
  const subjects = [
    ...roots.flatMap(({ heads, parts }) => [heads, parts]),
    ...[names.leases, names.placements, names.signs, names.messages],
  ]
  return {
    publish: [
      ...subjects.map((root) => `${root}.>`),
      `${api}.INFO`,
      `${api}.STREAM.NAMES`,
      ...streams.flatMap((stream) => [
        `${api}.STREAM.INFO.${stream}`,
        `${api}.STREAM.MSG.GET.${stream}`,
        `${api}.STREAM.PURGE.${stream}`,
        `${api}.CONSUMER.CREATE.${stream}.>`,
        `$JS.FC.${stream}.>`,
      ]),
    ],
    subscribe: [`_INBOX_${pop.user}.>`, `${names.messages}.>`],
  }
}

/** Calls that change streams or read around the ones above. */
const calls = [
  ...['STREAM.CREATE', 'STREAM.UPDATE', 'STREAM.DELETE', 'STREAM.TEMPLATE', 'STREAM.SNAPSHOT', 'STREAM.RESTORE'],
  ...['STREAM.MSG.DELETE', 'STREAM.PEER', 'STREAM.LEADER', 'CONSUMER.DURABLE', 'CONSUMER.MSG', 'CONSUMER.DELETE'],
  ...['ACCOUNT', 'META', 'SERVER', 'DIRECT'],
]

/**
 * The same for the line of a leaf node, by what is denied: a server tells a leaf node of `$JS.DOMAIN.API.>` as a whole or not at
 * all, and of nothing that an allowance and a denial both touch. Places are denied by name, hence all have to be planned.
 */
export function leafRightsOf(plan: Pick<NatsPlan, 'places' | 'platform'>, pop: PlannedPop): Rights {
  const names = createNames(plan.platform)
  const api = `$JS.${plan.platform}.API`
  const others = plan.places.filter((within) => !allows(within, pop.country))
  const streams = others.map((within) => names.placedStream(within))
  const reading = [
    'STREAM.INFO',
    'STREAM.MSG.GET',
    'STREAM.PURGE',
    'CONSUMER.CREATE',
    'CONSUMER.LIST',
    'CONSUMER.NAMES',
  ]
  const { subscribe } = rightsOf(plan, pop)
  return {
    deny: [
      '$JS.API.>',
      ...calls.map((call) => `${api}.${call}.>`),
      ...streams.flatMap((stream) =>
        reading.flatMap((call) => [`${api}.${call}.${stream}`, `${api}.${call}.${stream}.>`]),
      ),
      ...streams.map((stream) => `$JS.FC.${stream}.>`),
      ...others.flatMap((within) => Object.values(names.placed(within)).map((root) => `${root}.>`)),
    ],
    subscribe,
  }
}

function user(pop: PlannedPop, { publish, deny, subscribe }: Rights): string {
  const lines = (all: readonly string[]) => all.map((subject) => `            ${quote(subject)}`).join('\n')
  const list = (word: string, all: readonly string[] | undefined) =>
    all === undefined ? '' : `            ${word}: [\n${lines(all)}\n            ]`
  return `      # ${pop.name}, ${pop.country}
      {
        nkey: ${pop.user}
        permissions {
          publish {
${list('allow', publish)}${list('deny', deny)}
          }
          subscribe { allow: [
${lines(subscribe)}
          ] }
        }
      }`
}

/**
 * Which servers of a cluster one of them dials: of two, one the other. Where both dial at the same moment each takes the other's
 * line for one too many, both are closed, and both try again after the same second: over a long way that goes on for minutes.
 * A server that dials nobody counts as no cluster: of two servers both do.
 */
export function dialled(index: number, count: number): number[] {
  if (count === 2) return [1 - index]
  const half = count / 2
  const steps = Array.from({ length: count - 1 }, (_, i) => i + 1).filter(
    (step) => step < half || (step === half && index < half),
  )
  return steps.map((step) => (index + step) % count)
}

function cluster(plan: NatsPlan, server: PlannedServer): string {
  const { servers } = plan
  const others = dialled(servers.indexOf(server), servers.length).map((index) => servers[index]!)
  const routes = others.map(({ host, port }) => `tls://${host}:${port + 2000}`)
  return `
cluster {
  name: ${quote(plan.platform)}
  listen: ${quote(`0.0.0.0:${server.port + 2000}`)}
  cluster_advertise: ${quote(`${server.host}:${server.port + 2000}`)}
  routes: ${list(routes)}
  # A line that is silent for so long, four times, is dialled anew.
  ping_interval: "3s"
${tls(plan, server, '  ', { verify: true })}
}
`
}

function tls(
  { certificates }: NatsPlan,
  { host }: PlannedServer,
  indent: string,
  { verify }: { verify?: boolean } = {},
): string {
  return [
    'tls {',
    `  cert_file: ${quote(`${certificates}/${host}.crt`)}`,
    `  key_file: ${quote(`${certificates}/${host}.key`)}`,
    `  ca_file: ${quote(`${certificates}/ca.crt`)}`,
    // Servers show each other certificates of the same authority.
    ...(verify ? ['  verify: true'] : []),
    '}',
  ]
    .map((line) => `${indent}${line}`)
    .join('\n')
}

/** `country:de`, and each set of several countries that this one is in. */
function tagsOf({ places }: NatsPlan, { country }: PlannedServer): string[] {
  if (country === undefined) return []
  const tags = [[country], ...places.filter((within) => within.includes(country))].map((within) => placeTag(within))
  return [...new Set(tags)]
}

/** Of a server: its host, or its place in the list where hosts are the same. */
export function nameOf({ servers }: Pick<NatsPlan, 'servers'>, server: PlannedServer): string {
  const same = servers.filter(({ host }) => host === server.host)
  return same.length === 1 ? server.host : `${server.host}-${server.port}`
}

function quote(text: string): string {
  return JSON.stringify(text)
}

function list(texts: readonly string[]): string {
  return `[${texts.map(quote).join(', ')}]`
}
