/**
 * Hits under load. `front-hit`: what reading, answering and logging cost, with a function behind the front. `cache-hit`:
 * the whole node with a plain site, whose page lies in its cache. Both beside what Node's sockets cost alone.
 */
import { constantAnswer } from '../peers/constant.ts'
import { frontFast, frontNode } from '../peers/front.ts'
import { type KeptPage, largePage, smallPage } from '../peers/kept-page.ts'
import { nginxCache } from '../peers/nginx.ts'
import { rimwardCache } from '../peers/rimward.ts'
import { varnishCache } from '../peers/varnish.ts'
import type { BenchRow } from '../row.ts'
import { contestRow, withConnections } from './contest.ts'

const frontPeers = [nginxCache(smallPage), constantAnswer(smallPage), frontNode, frontFast]
const nodePeers = (page: KeptPage) => [nginxCache(page), varnishCache(page), constantAnswer(page), rimwardCache(page)]
const onSockets = 'The constant answer reads, decides and logs nothing: it is the floor for a server in Node.'
const aboutFront = `One process each. The program behind our front is a function that answers at once. ${onSockets}`
const aboutNode = `Ours is a node as \`rimward up\` starts it with a plain site. nginx has one worker, Varnish its threads and its logger; each has the page in memory. ${onSockets}`

const front = { how: aboutFront, pageBytes: smallPage.bytes, peers: frontPeers }
const whole = { how: aboutNode, pageBytes: smallPage.bytes, peers: nodePeers(smallPage) }
const large = { how: aboutNode, pageBytes: largePage.bytes, peers: nodePeers(largePage) }

export const hitRows: readonly BenchRow[] = [
  contestRow({
    ...front,
    name: 'front-hit',
    title: 'Front: 1 KB from memory, 32 connections',
    load: withConnections(32),
  }),
  contestRow({
    ...front,
    name: 'front-hit-256',
    title: 'Front: 1 KB from memory, 256 connections',
    load: withConnections(256),
  }),
  contestRow({
    ...whole,
    name: 'cache-hit',
    title: 'Cache hit: 1 KB, whole node, 32 connections',
    load: withConnections(32),
  }),
  contestRow({
    ...whole,
    name: 'cache-hit-256',
    title: 'Cache hit: 1 KB, whole node, 256 connections',
    load: withConnections(256),
  }),
  contestRow({
    ...large,
    name: 'cache-hit-1mb',
    title: 'Cache hit: 1 MiB, whole node, 16 connections',
    load: withConnections(16),
  }),
]
