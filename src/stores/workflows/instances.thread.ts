/**
 * Owns the databases of workflows, so that no fsync holds up a request. One message is one batch; what a batch writes to one
 * workflow is one transaction, committed before anybody hears of it.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import type { EpochMs } from '#/core/units.ts'
import { type InstanceCall, type InstanceLimits, openAnswers } from './answer-call.ts'
import { callFailure, type OpenedInstances, runCalls, type ThreadOutcome } from './run-calls.ts'
import { openInstances } from './schema.ts'

export interface ThreadData {
  readonly folder: string
  readonly limits: InstanceLimits & { readonly workflowsOpen: number }
}

export type ThreadCall = { readonly workflow: string } & ({ readonly call: InstanceCall } | { readonly letGo: true })

export type ThreadMessage = { readonly now: EpochMs; readonly calls: readonly ThreadCall[] } | 'close'

const port = parentPort!
const { folder, limits } = workerData as ThreadData
/** The one that was used last comes last. */
const opened = new Map<string, OpenedInstances>()
/** Opened since the process began: their runs are those of this process. */
const revived = new Set<string>()

function openedOf(workflow: string, now: EpochMs): OpenedInstances {
  const known = opened.get(workflow)
  opened.delete(workflow)
  const found = known ?? open(workflow, now)
  opened.set(workflow, found)
  for (const oldest of opened.keys()) {
    if (opened.size <= limits.workflowsOpen) break
    letGo(oldest)
  }
  return found
}

function open(workflow: string, now: EpochMs): OpenedInstances {
  const file = join(folder, workflow, 'instances.db')
  const database = openInstances(file, { now, revive: !revived.has(workflow) && existsSync(file) })
  revived.add(workflow)
  return { database, answers: openAnswers(database, limits) }
}

function letGo(workflow: string): void {
  opened.get(workflow)?.database.close()
  opened.delete(workflow)
}

function forget(workflow: string): ThreadOutcome {
  try {
    letGo(workflow)
    revived.delete(workflow)
    return { ok: true, answer: {} }
  } catch (error) {
    return callFailure(error)
  }
}

function runAll(workflow: string, calls: readonly InstanceCall[], now: EpochMs): readonly ThreadOutcome[] {
  try {
    return runCalls(openedOf(workflow, now), calls, now)
  } catch (error) {
    return calls.map(() => callFailure(error))
  }
}

function answerAll(calls: readonly ThreadCall[], now: EpochMs): ThreadOutcome[] {
  const outcomes: ThreadOutcome[] = new Array(calls.length)
  const byWorkflow = new Map<string, number[]>()
  for (const [index, call] of calls.entries())
    if (!('letGo' in call)) byWorkflow.set(call.workflow, [...(byWorkflow.get(call.workflow) ?? []), index])
  for (const [workflow, indices] of byWorkflow) {
    const asked = indices.map((index) => (calls[index] as { call: InstanceCall }).call)
    const done = runAll(workflow, asked, now)
    for (const [at, index] of indices.entries()) outcomes[index] = done[at]!
  }
  // Last: what was asked before it in the same batch would open the file again.
  for (const [index, call] of calls.entries()) if ('letGo' in call) outcomes[index] = forget(call.workflow)
  return outcomes
}

port.on('message', (message: ThreadMessage) => {
  if (message !== 'close') return port.postMessage(answerAll(message.calls, message.now))
  for (const workflow of [...opened.keys()]) letGo(workflow)
  port.close()
})
port.postMessage('ready')
