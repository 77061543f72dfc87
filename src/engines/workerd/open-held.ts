/** Values of bindings that stay in their program's countries: read when a program starts, on a node that may run it. */
import { EdgeError } from '#/core/errors.ts'
import type { Blobs } from '#/core/ports.ts'
import type { Binding, Deployment } from '#/core/snapshot.ts'

/** The same deployment where nothing of it lies elsewhere. Rejects with `internal` when a value is missing. */
export async function openHeld(blobs: Pick<Blobs, 'get'>, deployment: Deployment): Promise<Deployment> {
  if (!deployment.bindings.some(({ kind }) => kind === 'held')) return deployment
  return { ...deployment, bindings: await Promise.all(deployment.bindings.map((binding) => openOne(blobs, binding))) }
}

async function openOne(blobs: Pick<Blobs, 'get'>, binding: Binding): Promise<Binding> {
  if (binding.kind !== 'held') return binding
  const { name } = binding
  const bytes = await blobs.get(binding.blob)
  if (bytes === undefined) throw new EdgeError('internal', `The value of ${name} is missing (blob ${binding.blob}).`)
  const text = Buffer.from(bytes).toString('utf8')
  return binding.as === 'json' ? { kind: 'json', name, json: text } : { kind: 'text', name, text }
}
