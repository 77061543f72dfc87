/** Nodes of the platform, as our own door shows them. */
import type { FollowerStatus } from '#/control/follower.ts'
import type { HeardReport } from '#/control/node-reports.ts'
import type { Limits } from '#/core/limits.ts'
import type { EpochMs } from '#/core/units.ts'
import type { Check, PopView } from './schemas.ts'

const at = (time: EpochMs) => new Date(time).toISOString()

/** `newest`: the revision that the control plane knows. */
export function viewNodes(
  reports: readonly HeardReport[],
  newest: number,
  now: EpochMs,
  limits: Pick<Limits, 'nodeStatusMs'>,
): PopView[] {
  return reports.map((report) => {
    const { startedAt, heardAt, servedSince, awaySince, failure, wanted, ...rest } = report
    const lag = Math.max(0, Math.max(newest, wanted) - report.revision)
    const isSilent = now - heardAt > 3 * limits.nodeStatusMs
    const state = isSilent ? 'silent' : awaySince !== undefined ? 'away' : lag > 0 ? 'behind' : 'up'
    const seconds = Math.max(1, (heardAt - startedAt) / 1000)
    return {
      ...rest,
      startedAt: at(startedAt),
      heardAt: at(heardAt),
      state,
      lag,
      lagMs: lag === 0 ? 0 : Math.max(0, now - servedSince),
      ...(awaySince !== undefined && { awaySince: at(awaySince) }),
      ...(failure && { failure: `revision ${failure.revision}: ${failure.reason}${nextTry(failure)}` }),
      requestsPerSecond: Math.round((rest.requests / seconds) * 10) / 10,
    }
  })
}

/** A node that serves is ready, also with what it had before it lost the others: the check says how old that is. */
export function nodeChecks(nodes: readonly { readonly node: string; readonly status: FollowerStatus }[]): Check[] {
  return nodes.map(({ node, status }) => {
    const { revision, wanted, ageMs, awaySince, failure } = status
    const reason = failure && `revision ${failure.revision} was not adopted: ${failure.reason}${nextTry(failure)}`
    return {
      name: 'configuration',
      node,
      ready: wanted === 0 || revision > 0,
      revision,
      ageMs,
      ...(awaySince !== undefined && { awaySince: at(awaySince) }),
      ...(reason !== undefined && { reason }),
    }
  })
}

/** A node that cannot read a change goes on with what it has. */
export function changesCheck({ stuck }: { readonly stuck: string | undefined }): Check[] {
  return stuck === undefined ? [] : [{ name: 'changes', ready: true, reason: `later ones are not followed: ${stuck}` }]
}

function nextTry({ tries, nextAt }: NonNullable<HeardReport['failure']>): string {
  if (nextAt === undefined) return ''
  return ` (tried ${tries === 1 ? 'once' : `${tries} times`}, again at ${at(nextAt)})`
}
