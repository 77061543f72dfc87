/** Datasets are there from the first deploy that binds them, as at the vendor: nobody creates one. */
import type { BindingRequest } from '#/control/bindings.ts'
import type { Control } from '#/control/control.ts'
import { Refusal } from '#/control/refusal.ts'

/** The same bindings, those to datasets with the ids of what they name. */
export async function makeDatasets(
  bindings: readonly BindingRequest[],
  control: Pick<Control, 'resources' | 'createResource'>,
): Promise<BindingRequest[]> {
  const made: BindingRequest[] = []
  for (const binding of bindings)
    made.push(
      binding.kind === 'dataset' && binding.dataset === ''
        ? { ...binding, dataset: await idOf(binding.called, control) }
        : binding,
    )
  return made
}

async function idOf(name: string, control: Pick<Control, 'resources' | 'createResource'>): Promise<string> {
  const known = () => control.resources('dataset').find((one) => one.name === name)?.id
  try {
    return known() ?? (await control.createResource({ kind: 'dataset', name })).id
  } catch (thrown) {
    // Another deploy was first.
    const id = thrown instanceof Refusal && thrown.code === 'name_taken' ? known() : undefined
    if (id === undefined) throw thrown
    return id
  }
}
