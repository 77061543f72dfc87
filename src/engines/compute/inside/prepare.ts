/** Prepares a module in a cell that runs nothing else. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type PreparedSheet, preparedFolder, sheetFile } from '../prepared-files.ts'
import type { PrepareHead } from '../protocol.ts'
import { faultText, type RewrittenModule, rewriteModule } from '../wasm/rewrite-module.ts'
import { type ImageOutcome, takeImage } from '../wasm/take-image.ts'
import { CallFailure } from '../wire-messages.ts'
import type { TurnWatch } from './scheduler.ts'

/** Throws a `CallFailure` (`program_start_failed`) that says what is wrong with the module, and where. */
export async function prepare(head: PrepareHead, stop: WebAssembly.Memory, watch: TurnWatch): Promise<void> {
  const outcome = rewriteModule(await readFile(head.source), head.limits)
  if (!outcome.ok) throw refused(`The module is not accepted: ${faultText(outcome.fault)}`)
  const prepared = outcome.value
  const exported = prepared.facts.exports.map(({ name }) => name)
  for (const name of ['memory', '_start']) if (!exported.includes(name)) throw refused(`The module exports no ${name}.`)
  await mkdir(preparedFolder(head.folder), { recursive: true })
  const sheet = await store(head, prepared, firstState(prepared, head, stop, watch))
  await write(sheetFile(head.folder, head.module), Buffer.from(JSON.stringify(sheet)))
}

type First = { readonly image: Uint8Array; readonly values: readonly (number | bigint)[] } | { readonly why: string }

/** Runs the start function, under the watch. */
function firstState(prepared: RewrittenModule, head: PrepareHead, stop: WebAssembly.Memory, watch: TurnWatch): First {
  if (!prepared.kept.ok) return { why: prepared.kept.reasons.map(({ detail }) => detail).join(' ') }
  watch.begin(head.startMs)
  const taken = tryImage(prepared, stop)
  if (watch.end()) throw refused(`Its start function used more than ${head.startMs} ms of processor time.`)
  if (taken instanceof Error) throw refused(taken.message)
  if (!taken.ok) return { why: taken.detail }
  return { image: taken.image.memory, values: taken.image.globals }
}

function tryImage(prepared: RewrittenModule, stop: WebAssembly.Memory): ImageOutcome | Error {
  try {
    return takeImage(new WebAssembly.Module(prepared.whole.bytes), prepared, stop)
  } catch (thrown) {
    if (thrown instanceof WebAssembly.LinkError || thrown instanceof RangeError) return thrown
    throw thrown
  }
}

async function store({ folder, module }: PrepareHead, prepared: RewrittenModule, first: First): Promise<PreparedSheet> {
  const { memory, globals } = prepared.whole
  if ('why' in first || !prepared.kept.ok) {
    const code = `${module}.whole.wasm`
    await write(join(preparedFolder(folder), code), prepared.whole.bytes)
    return { memory, globals, program: { kind: 'fresh', code, why: 'why' in first ? first.why : '' } }
  }
  const code = `${prepared.kept.code.key}.code.wasm`
  const image = `${module}.image`
  await write(join(preparedFolder(folder), code), prepared.kept.code.bytes)
  await write(join(preparedFolder(folder), image), first.image)
  const values = first.values.map((value) => (typeof value === 'bigint' ? { bigint: `${value}` } : value))
  return { memory, globals, program: { kind: 'kept', code, image, values } }
}

/** Whole or not at all; the sheet comes last. */
async function write(file: string, bytes: Uint8Array): Promise<void> {
  const half = `${file}.${process.pid}`
  await writeFile(half, bytes)
  await rename(half, file)
}

function refused(message: string): CallFailure {
  return new CallFailure('program_start_failed', message)
}
