/** A deployment as the host inside a cell reads it: one binary answer, so that Wasm and data travel as they are. */
import { isDispatched } from '#/core/dispatch-names.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Blobs, Seal } from '#/core/ports.ts'
import type { Binding, BlobHash, Deployment, DeploymentId } from '#/core/snapshot.ts'
import { everywhereTarget } from './everywhere-pops.ts'
import { openHeld } from './open-held.ts'

/** What the bundle needs from elsewhere. */
export interface BundleSources {
  readonly blobs: Blobs
  readonly seal: Seal
}

/** Bundles of programs, as many as `bundleBytes` hold; the longest unused one goes first. */
export interface Bundles {
  /** What is held already: a first request does not wait for the disk then. */
  held(deployment: Deployment): Buffer | undefined
  /** Rejects like `bundleCode`. */
  read(deployment: Deployment): Promise<Buffer>
}

export function createBundles(sources: BundleSources, limits: Pick<Limits, 'bundleBytes'>): Bundles {
  const kept = new Map<DeploymentId, Buffer>()
  let bytes = 0

  function keep(id: DeploymentId, bundle: Buffer): void {
    if (bundle.length > limits.bundleBytes || kept.has(id)) return
    kept.set(id, bundle)
    bytes += bundle.length
    for (const [oldest, other] of kept) {
      if (bytes <= limits.bundleBytes) return
      kept.delete(oldest)
      bytes -= other.length
    }
  }

  function held({ id }: Deployment): Buffer | undefined {
    const bundle = kept.get(id)
    if (bundle === undefined) return undefined
    kept.delete(id)
    kept.set(id, bundle)
    return bundle
  }

  return {
    held,
    async read(deployment) {
      const known = held(deployment)
      if (known !== undefined) return known
      const bundle = await bundleCode(deployment, sources)
      keep(deployment.id, bundle)
      return bundle
    },
  }
}

/** 4 bytes length (big endian), JSON head, then the bytes of modules and byte bindings in the head's order. */
export async function bundleCode(given: Deployment, sources: BundleSources): Promise<Buffer> {
  const { code } = given
  if (code === undefined) throw new EdgeError('program_start_failed', `${given.program} has files but no code.`)
  const deployment = await openHeld(sources.blobs, given)
  const parts: Uint8Array[] = []
  for (const module of code.modules) parts.push(await readBlob(sources.blobs, module.blob))
  const bindings: object[] = []
  for (const binding of deployment.bindings) bindings.push(await bindingFor(binding, deployment, sources, parts))
  const head = Buffer.from(
    JSON.stringify({
      program: deployment.program,
      deployment: deployment.id,
      compatibilityDate: code.compatibilityDate,
      compatibilityFlags: flagsOf(deployment),
      mainModule: code.mainModule,
      front: deployment.frontCache !== undefined,
      dispatched: isDispatched(deployment),
      modules: code.modules.map(({ name, kind }, index) => ({ name, kind, bytes: parts[index]!.length })),
      bindings,
    }),
  )
  // Memory of its own: what is kept of Node's shared pool holds on to the whole piece of the pool.
  const bundle = Buffer.allocUnsafeSlow(parts.reduce((sum, part) => sum + part.length, 4 + head.length))
  bundle.writeUInt32BE(head.length)
  bundle.set(head, 4)
  let at = 4 + head.length
  for (const part of parts) {
    bundle.set(part, at)
    at += part.length
  }
  return bundle
}

/** The prelude writes to the importable `env`, which Workers have by default only since 2025-04-01. */
export function flagsFor(date: string, flags: readonly string[]): string[] {
  const kept = flags.filter((flag) => flag !== 'disallow_importable_env')
  if (date < '2025-04-01' && !kept.includes('allow_importable_env')) kept.push('allow_importable_env')
  return kept
}

/** Flags of a program in front of which modules of ours run. */
export function flagsOf(deployment: Pick<Deployment, 'program' | 'code'>): string[] {
  const { compatibilityDate, compatibilityFlags } = deployment.code!
  const flags = flagsFor(compatibilityDate, compatibilityFlags)
  const hasContexts = flags.some((flag) => /^nodejs_(als|compat(_v2)?)$/.test(flag))
  return isDispatched(deployment) && !hasContexts ? [...flags, 'nodejs_als'] : flags
}

async function bindingFor(
  binding: Binding,
  deployment: Deployment,
  { seal, blobs }: BundleSources,
  parts: Uint8Array[],
): Promise<object> {
  const { name } = binding
  switch (binding.kind) {
    case 'text':
      return { kind: 'value', name, value: binding.text }
    case 'json':
      return { kind: 'value', name, value: JSON.parse(binding.json) }
    case 'secret':
      return { kind: 'value', name, value: seal.open(binding.sealed) }
    case 'version': {
      const timestamp = new Date(deployment.createdAt).toISOString()
      return { kind: 'value', name, value: { id: deployment.id, tag: deployment.tag ?? '', timestamp } }
    }
    case 'kv':
      return { kind: 'kv', name, store: binding.store }
    case 'assets':
      return { kind: 'assets', name }
    case 'program': {
      const target = everywhereTarget(binding)
      if (target !== undefined) return { kind: 'everywhere', name, target }
      const props = binding.props === undefined ? undefined : JSON.parse(binding.props)
      return { kind: 'program', name, program: binding.program, entrypoint: binding.entrypoint, props }
    }
    case 'blob': {
      const bytes = await readBlob(blobs, binding.blob)
      if (binding.type === 'text') return { kind: 'value', name, value: Buffer.from(bytes).toString() }
      if (binding.type === 'wasm')
        throw new EdgeError('program_start_failed', `Binding ${name}: modules import Wasm, they cannot bind it.`)
      parts.push(bytes)
      return { kind: 'bytes', name, bytes: bytes.length }
    }
    default:
      throw new EdgeError('program_start_failed', `Binding ${name}: ${binding.kind} needs a cell of its own.`)
  }
}

async function readBlob(blobs: Blobs, hash: BlobHash): Promise<Uint8Array> {
  const bytes = await blobs.get(hash)
  if (bytes === undefined) throw new EdgeError('internal', `Blob ${hash} of a program is missing.`)
  return bytes
}
