/** The request that the client sent, as a program holds it. */
import type { Sandbox } from '../sandbox.ts'

/** Handles of the client's request and its body: the same ones however often it is asked for. */
export function downstream(sandbox: Sandbox): { readonly request: number; readonly body: number } {
  sandbox.downstream ??= {
    request: sandbox.handles.add(sandbox.request),
    body: sandbox.handles.add(sandbox.requestBody),
  }
  return sandbox.downstream
}
