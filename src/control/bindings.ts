/** What a new version is bound to: its own bindings, plus those taken over from the version before. */
import { type BoundResource, boundResource } from '#/core/bound-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { Seal } from '#/core/ports.ts'

import type { Resource } from '#/core/resources.ts'

import type { Binding, ObjectNamespace, ProgramName } from '#/core/snapshot.ts'
import { kindOf } from './place-versions.ts'
import { Refusal } from './refusal.ts'

/** A binding as it is asked for: secrets still open, others perhaps to be taken over. */
export type BindingRequest =
  | Exclude<Binding, { kind: 'secret' }>
  | { readonly kind: 'secret'; readonly name: string; readonly text: string }
  /** The binding of the latest version, under `from` there (absent: the same name). */
  | { readonly kind: 'inherit'; readonly name: string; readonly from?: string }

export interface BindingWish {
  readonly bindings: readonly BindingRequest[]
  /** Bindings of these kinds survive from the latest version unless their name is taken. */
  readonly keep: readonly Binding['kind'][]
}

/** Throws a `Refusal` (`name_twice`, `nothing_to_inherit`, `too_many`, `bad_binding`). */
export function resolveBindings(
  wish: BindingWish,
  latest: readonly Binding[],
  seal: Seal,
  limits: Pick<Limits, 'bindingsPerProgram' | 'textBindingBytes'>,
): Binding[] {
  const names = new Set<string>()
  const resolved: Binding[] = []
  for (const request of wish.bindings) {
    if (names.has(request.name)) throw new Refusal('name_twice', `There are two bindings named '${request.name}'.`)
    names.add(request.name)
    resolved.push(resolveOne(request, latest, seal))
  }
  for (const binding of latest) {
    if (!wish.keep.includes(kindOf(binding)) || names.has(binding.name)) continue
    names.add(binding.name)
    resolved.push(binding)
  }
  for (const binding of wish.bindings) checkText(binding, limits.textBindingBytes)
  if (resolved.length > limits.bindingsPerProgram)
    throw new Refusal('too_many', `${resolved.length} bindings are more than the ${limits.bindingsPerProgram} allowed.`)
  return resolved
}

function resolveOne(request: BindingRequest, latest: readonly Binding[], seal: Seal): Binding {
  if (request.kind === 'secret') return { kind: 'secret', name: request.name, sealed: seal.seal(request.text) }
  if (request.kind !== 'inherit') return request
  const from = request.from ?? request.name
  const found = latest.find((binding) => binding.name === from)
  if (found === undefined)
    throw new Refusal(
      'nothing_to_inherit',
      `inherit binding '${request.name}' is invalid: the latest version has no binding named '${from}'.`,
    )
  return { ...found, name: request.name }
}

function checkText(binding: BindingRequest, limitBytes: number): void {
  const text =
    binding.kind === 'text' || binding.kind === 'secret'
      ? binding.text
      : binding.kind === 'json'
        ? binding.json
        : undefined
  if (text === undefined || Buffer.byteLength(text) <= limitBytes) return
  throw new Refusal(
    'bad_binding',
    `Binding '${binding.name}' holds ${Buffer.byteLength(text)} bytes, more than the ${limitBytes} allowed.`,
  )
}

export interface BindingWorld {
  readonly program: ProgramName
  /** Classes of this program as they will be after the deploy. */
  readonly objects: readonly ObjectNamespace[]
  /** Classes of another program; `undefined` when there is none of that name. */
  readonly objectsOf: (program: ProgramName) => readonly ObjectNamespace[] | undefined
  /** Workflow classes that another program exports now; `undefined` when there is none of that name. */
  readonly workflowsOf: (program: ProgramName) => Promise<readonly string[] | undefined>
  /** Is there a Compute program of that name? */
  readonly isCompute: (program: ProgramName) => boolean
  readonly hasStore: (store: string) => Promise<boolean>
  readonly hasSecret: (store: string, secret: string) => boolean
  readonly hasResource: (resource: Pick<Resource, 'kind' | 'id'>) => boolean
  readonly hasAssets: boolean
}

/** Does everything that is bound exist? Throws a `Refusal` that names the binding. */
export async function checkTargets(bindings: readonly Binding[], world: BindingWorld): Promise<void> {
  for (const binding of bindings) {
    if (binding.kind === 'program') checkProgram(binding, world)
    if (binding.kind === 'objects') checkObjects(binding, world)
    if (binding.kind === 'workflow') await checkWorkflow(binding, world)
    if (binding.kind === 'dispatch') checkOutbound(binding, world)
    if (binding.kind === 'kv' && !(await world.hasStore(binding.store)))
      throw new Refusal('store_unknown', `KV namespace '${binding.store}' not found (binding '${binding.name}').`)
    const resource = boundResource(binding)
    if (resource !== undefined && !world.hasResource(resource))
      throw new Refusal('store_unknown', missingResource(binding, resource))
    if (binding.kind === 'stored-secret' && !world.hasSecret(binding.store, binding.secret))
      throw new Refusal(
        'store_unknown',
        `Secret '${binding.secret}' of the store '${binding.store}' not found (binding '${binding.name}').`,
      )
    if (binding.kind === 'assets' && !world.hasAssets)
      throw new Refusal('bad_binding', `Binding '${binding.name}' is to assets, but this version has none.`)
  }
}

/** In Cloudflare's words where they are known. */
function missingResource({ name }: Binding, { kind, id, called }: BoundResource): string {
  if (kind === 'sql') return `D1 binding '${name}' references database '${id}' which was not found.`
  return `${called} '${id}' not found (binding '${name}').`
}

function checkProgram(binding: Extract<Binding, { kind: 'program' }>, world: BindingWorld): void {
  if (binding.program === world.program || world.objectsOf(binding.program) !== undefined) return
  if (!world.isCompute(binding.program))
    throw new Refusal(
      'program_unknown',
      `Could not resolve service binding '${binding.name}'. Target script '${binding.program}' not found. Please verify the target script and try again.`,
    )
  checkCompute(binding)
}

/** What is sent through it must be able to get out again. */
function checkOutbound({ name, outbound }: Extract<Binding, { kind: 'dispatch' }>, world: BindingWorld): void {
  if (outbound === undefined || world.objectsOf(outbound.program) !== undefined) return
  const { program } = outbound
  throw world.isCompute(program)
    ? new Refusal(
        'bad_binding',
        `Binding '${name}': '${program}' is a Compute program, which cannot be an outbound Worker.`,
      )
    : new Refusal(
        'program_unknown',
        `Could not resolve the outbound Worker of binding '${name}'. Target script '${program}' not found. Please verify the target script and try again.`,
      )
}

/** A Compute program has one way in, and nothing that could read what a binding says of its caller. */
function checkCompute({ name, program, entrypoint, props }: Extract<Binding, { kind: 'program' }>): void {
  const lacks = entrypoint !== undefined ? `entrypoint '${entrypoint}'` : props !== undefined ? 'props' : undefined
  if (lacks === undefined) return
  throw new Refusal(
    'bad_binding',
    `Service binding '${name}': '${program}' is a Compute program, which has no ${lacks}.`,
  )
}

/** Classes of its own are known once the version was started: `checkWorkflowClasses`. */
async function checkWorkflow(
  { name, program, className }: Extract<Binding, { kind: 'workflow' }>,
  world: BindingWorld,
): Promise<void> {
  if (program === undefined || program === world.program) return
  const classes = await world.workflowsOf(program)
  if (classes === undefined)
    throw new Refusal(
      'program_unknown',
      `Could not resolve workflow binding '${name}'. Target script '${program}' not found. Please verify the target script and try again.`,
    )
  if (!classes.includes(className))
    throw new Refusal(
      'bad_binding',
      `Could not resolve workflow binding '${name}'. '${program}' exports no class '${className}' that extends WorkflowEntrypoint.`,
    )
}

/** Does a version export what its bindings, and its `exports` (`declared`), say of Workflows? Throws a `Refusal`. */
export function checkWorkflowClasses(
  version: { readonly program: ProgramName; readonly bindings: readonly Binding[]; readonly exports: Exported },
  declared: readonly string[],
): void {
  const exported = workflowClasses(version.exports)
  for (const binding of version.bindings) {
    if (binding.kind !== 'workflow' || (binding.program ?? version.program) !== version.program) continue
    if (!exported.includes(binding.className)) throw noWorkflow(`binding '${binding.name}' is to`, binding.className)
  }
  for (const className of declared) if (!exported.includes(className)) throw noWorkflow('exports declares', className)
}

const noWorkflow = (says: string, className: string) =>
  new Refusal(
    'class_not_exported',
    `Workflow ${says} class '${className}', but the script exports no class of that name that extends WorkflowEntrypoint.`,
  )

type Exported = readonly { readonly name: string; readonly kind: string }[]

/** Names of the classes among the exports of a version that are workflows. */
export const workflowClasses = (exports: Exported): string[] =>
  exports.filter(({ kind }) => kind === 'workflow').map(({ name }) => name)

function checkObjects(binding: Extract<Binding, { kind: 'objects' }>, world: BindingWorld): void {
  const foreign = binding.program !== undefined && binding.program !== world.program
  const objects = foreign ? world.objectsOf(binding.program!) : world.objects
  if (objects === undefined)
    throw new Refusal(
      'object_program_unknown',
      `Cannot create binding for class '${binding.className}' in script '${binding.program}' that does not exist.`,
    )
  if (objects.some((object) => object.className === binding.className)) return
  throw new Refusal(
    'object_class_unknown',
    `Cannot create binding for class '${binding.className}' because it is not currently configured to implement Durable Objects${foreign ? ` in '${binding.program}'` : ''}. Configure a migration or an exports entry that adds this class.`,
  )
}
