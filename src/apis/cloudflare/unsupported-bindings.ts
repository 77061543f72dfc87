/** Kinds of bindings that Cloudflare has and we do not, with what a person can do instead. */

import { doorError } from './errors.ts'

const fetchAnother = (what: string) => `fetch() the API of ${what}`

const advice: Readonly<Record<string, string>> = {
  ai: `models do not run here; ${fetchAnother('a model service')}`,
  ai_search: `search over documents is not there; ${fetchAnother('a search service')}`,
  ai_search_namespace: `search over documents is not there; ${fetchAnother('a search service')}`,
  agent_memory: 'memories of agents are not there; keep them in D1 or Durable Objects',
  analytics: 'datasets are asked over HTTP, not by a binding',
  artifacts: `repositories are not there; ${fetchAnother('a git service')}`,
  browser: `browsers do not run here; ${fetchAnother('a browser service')}`,
  flagship: `feature flags are not there; keep them in KV, or ${fetchAnother('a flag service')}`,
  images: `images are not transformed here; ${fetchAnother('an image service')}`,
  k2: 'streams are not there; send to a queue',
  logfwdr: 'logs are not forwarded by programs; collect the log of the node',
  media: `videos are not transformed here; ${fetchAnother('a media service')}`,
  pipelines: 'pipelines are not there; send to a queue, and write to R2 from its consumer',
  send_email: `mail is not sent from here; ${fetchAnother('a mail service')}`,
  stream: `videos are not kept here; ${fetchAnother('a video service')}`,
  tail_consumer: "logs are read with 'wrangler tail'",
  unsafe_hello_world: 'it is for tests of the vendor; remove it',
  vectorize: `vector indexes are not there; ${fetchAnother('a vector database')}`,
  vpc_network: "private networks are reached with fetch() and connect(), once 'rimward allow' says so",
  vpc_service: "private services are reached with fetch() and connect(), once 'rimward allow' says so",
  websearch: `the web is not searched from here; ${fetchAnother('a search service')}`,
}

function sentence(name: string, type: string): string {
  const what = Object.hasOwn(advice, type) ? `: ${advice[type]}` : ''
  return `Binding '${name}' is of type '${type}', which Rimward does not support${what}.`
}

/** Throws one error that names every binding of a kind that is not here; the others are read later. */
export function refuseUnsupported(bindings: readonly unknown[], isSupported: (type: string) => boolean): void {
  const found = bindings.flatMap((raw) => {
    const { name, type } = (raw ?? {}) as { readonly name?: unknown; readonly type?: unknown }
    return typeof name === 'string' && typeof type === 'string' && !isSupported(type) ? [sentence(name, type)] : []
  })
  if (found.length > 0) throw doorError('unsupported', found.join(' '))
}
