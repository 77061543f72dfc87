/** Programs of tests that do one step a request: POST of `{ step, … }`, answered `{ value }` or `{ error }`. */
import assert from 'node:assert/strict'
import type { RunningNode } from './node.ts'

// biome-ignore lint/suspicious/noExplicitAny: what a program answers is compared, not used.
export type Told = any

/** `does` fails on an error and gives the value; `ask` gives the whole answer. The node may start later. */
export function askSteps(node: () => RunningNode, host: string) {
  async function ask(step: string, rest: object = {}): Promise<Told> {
    const answer = await node().get(host, '/', { method: 'POST', body: JSON.stringify({ step, ...rest }) })
    assert.equal(answer.status, 200, answer.text)
    return JSON.parse(answer.text)
  }

  async function does(step: string, rest: object = {}): Promise<Told> {
    const told = await ask(step, rest)
    assert.equal(told.error, undefined, JSON.stringify(rest))
    return told.value
  }

  return { ask, does }
}
