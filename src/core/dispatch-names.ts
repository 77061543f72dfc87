/** Programs of dispatch namespaces: what they are called inside, so that no name of an ordinary program can be theirs. */
import type { Deployment, ProgramName } from './snapshot.ts'

/** `namespace` is the id of its resource, which never changes; ordinary names hold no dot. */
export function dispatchedName(namespace: string, name: string): ProgramName {
  return `${namespace}.${name}`
}

/** The two parts of such a name; `undefined` for the name of an ordinary program. */
export function dispatchedParts(
  program: ProgramName,
): { readonly namespace: string; readonly name: string } | undefined {
  const dot = program.indexOf('.')
  return dot === -1 ? undefined : { namespace: program.slice(0, dot), name: program.slice(dot + 1) }
}

/** Does it belong to a dispatch namespace? */
export function isDispatched({ program }: Pick<Deployment, 'program'>): boolean {
  return program.includes('.')
}
