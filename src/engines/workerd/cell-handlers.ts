/** What cells may ask of us, by kind: code, the way to another program, stores, assets, `fetch()`, traces. */

import { programFirst } from '#/core/asset-routing.ts'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { clientCertificate } from '#/core/client-certificates.ts'
import type { Answer } from '#/core/exchange.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { Assets, Egress, EgressAnswer, KvStores, ProgramCache, Seal, SecretStores } from '#/core/ports.ts'
import { resourceOf } from '#/core/resources.ts'
import type { Deployment, DeploymentId, Program, Snapshot } from '#/core/snapshot.ts'
import type { Trace, Traces } from '#/core/traces.ts'
import type { Clock } from '#/core/units.ts'
import { headerValue } from '#/http/header-list.ts'
import { deploymentOf, type Isolates } from './ask-cell.ts'
import { type BackplaneHandler, textAnswer } from './backplane.ts'
import { bucketHandler } from './backplane-bucket.ts'
import { cacheHandler } from './backplane-cache.ts'
import { callHandler } from './backplane-call.ts'
import { datasetHandler } from './backplane-dataset.ts'
import { kvHandler } from './backplane-kv.ts'
import { purgeHandler } from './backplane-purge.ts'
import { queueHandler } from './backplane-queue.ts'
import { rateLimitHandler } from './backplane-rate-limit.ts'
import { sqlHandler } from './backplane-sql.ts'
import { workflowHandlers } from './backplane-workflow.ts'
import { readCacheOptions } from './cache-options.ts'
import type { Bundles } from './code-bundle.ts'
import type { DispatchedCalls } from './dispatched-calls.ts'
import type { WorkerdEngineOptions } from './engine.ts'
import { placeProgram } from './placement.ts'

export interface HandlerDependencies {
  readonly kv: KvStores
  readonly homed: HomedStores
  readonly secrets: SecretStores
  readonly seal: Seal
  readonly assets: Assets
  readonly egress: Egress
  readonly callProgram: WorkerdEngineOptions['callProgram']
  readonly programCache: ProgramCache
  readonly purge: (wishes: readonly PurgeWish[]) => Promise<void>
  readonly traces: Traces
  readonly limits: Limits
  readonly clock: Clock
  readonly isolates: Isolates
  readonly bundles: Pick<Bundles, 'read'>
  readonly known: ReadonlyMap<DeploymentId, Deployment>
  readonly snapshot: () => Snapshot
  readonly dispatched: DispatchedCalls
  readonly log: (message: string, facts?: object) => void
}

/** Handlers for `createBackplane`; the id is a deployment for `assets` and `trace`, a program for `cache`, `egress`, `route` and `call`. */
export function cellHandlers(parts: HandlerDependencies): Readonly<Record<string, BackplaneHandler>> {
  const { assets, egress, traces, known } = parts
  return {
    kv: kvHandler(parts),
    bucket: bucketHandler(parts),
    queue: queueHandler(parts),
    cache: cacheHandler(parts),
    call: callHandler(parts),
    dataset: datasetHandler(parts),
    purge: purgeHandler(parts),
    sql: sqlHandler(parts),
    ...workflowHandlers(parts),
    'rate-limit': rateLimitHandler(parts),
    async secret({ id }) {
      const [store = '', name = ''] = id.split('/')
      const secret = await parts.secrets.get(store, name)
      if (secret === undefined) return textAnswer(404, `Secret "${name}" not found`)
      return { status: 200, headers: ['content-length', String(secret.length)], body: secret }
    },
    async code({ id }) {
      const deployment = known.get(deploymentOf(id))
      if (deployment === undefined) return textAnswer(404, `There is no deployment ${id}.`)
      const body = await parts.bundles.read(deployment)
      return { status: 200, headers: ['content-length', String(body.length)], body }
    },
    async route({ id: asked }) {
      const [id = '', as] = asked.split(' ')
      const program = parts.snapshot().programs.get(id)
      const deployment = program === undefined ? undefined : choose(program)
      if (program === undefined || deployment === undefined) return textAnswer(404, `There is no program ${id}.`)
      if (deployment.compute !== undefined) return textAnswer(200, 'compute')
      const place = placeProgram(program, deployment, parts.limits)
      if (place.kind === 'own') return textAnswer(200, 'own')
      const isolate = parts.isolates.idOf(deployment)
      return textAnswer(200, as === 'o' ? `${isolate}.o` : isolate)
    },
    async leave({ id, body }) {
      const ticket = Buffer.concat((await body?.toArray()) ?? []).toString()
      const leaving = parts.dispatched.leave(id, ticket)
      return leaving.kind === 'refused' ? textAnswer(403, leaving.why) : textAnswer(200, JSON.stringify(leaving))
    },
    /** Of a program that a dispatcher asks, before its code: 204 where no file answers. */
    async files({ id, method, host, url, headers }) {
      const deployment = parts.snapshot().programs.get(id)?.rollout[0]?.deployment
      const files = deployment?.assets
      const request = { method, host, path: url, headers }
      if (files === undefined) return textAnswer(404, 'This program has no assets.')
      if (deployment?.code === undefined) return assets.answer(files, request)
      const answer = programFirst(files, url) ? undefined : await assets.match(files, request)
      return answer ?? { status: 204, headers: [noFile, '1'], body: null }
    },
    async assets({ id, method, host, url, headers }) {
      const files = known.get(id)?.assets
      if (files === undefined) return textAnswer(404, 'This program has no assets.')
      return assets.answer(files, { method, host, path: url, headers })
    },
    async egress({ id, method, url, headers, body, cf, wantsUpgrade, signal }): Promise<Answer> {
      const options = readCacheOptions(cf)
      if (options.kind === 'refused') return textAnswer(400, options.why)
      const { wish: cache } = options
      const answer = await egress.fetch({
        by: { program: id },
        method,
        url,
        headers,
        body,
        wantsUpgrade,
        signal,
        cache,
      })
      return withCacheStatus(answer)
    },
    /** As `egress`, with the client certificate that the binding names. */
    async certificate({ id, method, url, headers, body, wantsUpgrade, signal }): Promise<Answer> {
      const [program = '', certificate = ''] = id.split('/')
      const resource = resourceOf(parts.snapshot(), 'certificate', certificate)
      if (resource === undefined) return textAnswer(404, `There is no certificate ${certificate}.`)
      const { certificates, key } = clientCertificate(resource)
      const connection = { clientCertificate: certificates, ...(key !== undefined && { clientKey: key }) }
      return egress.fetch({ by: { program }, method, url, headers, body, wantsUpgrade, signal, connection })
    },
    async trace({ id, body }) {
      const parts: Buffer[] = []
      if (body !== null) for await (const part of body) parts.push(part as Buffer)
      const deployment = known.get(id)
      if (deployment !== undefined)
        for (const item of JSON.parse(Buffer.concat(parts).toString()) as Trace[])
          traces.emit(traceOf(item, deployment))
      return { status: 204, headers: [], body: null }
    },
  }
}

/** On an answer of ours: no file answers, the program is to be asked. */
const noFile = 'rimward-no-file'

/** As at Cloudflare, programs read there whether an answer came from the cache; another network's word stays. */
function withCacheStatus(answer: EgressAnswer): Answer {
  const { cacheOutcome, headers } = answer
  if (cacheOutcome === undefined || headerValue(headers, 'cf-cache-status') !== undefined) return answer
  return { ...answer, headers: [...headers, 'cf-cache-status', cacheOutcome.toUpperCase()] }
}

function traceOf(item: Trace, deployment: Deployment): Trace {
  return { ...item, scriptName: deployment.program, scriptVersion: { id: deployment.id } }
}

/** By the rollout's percentages. */
function choose(program: Program): Deployment | undefined {
  let left = Math.random() * 100
  for (const { deployment, percent } of program.rollout) {
    left -= percent
    if (left < 0) return deployment
  }
  return program.rollout.at(-1)?.deployment
}
