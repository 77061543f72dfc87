/**
 * Whose code, files, values and keys lie in databases of a node: records that hold them themselves, and blobs that stay in
 * countries, which records name by their digest.
 */
import { withinOfBlob } from '#/core/blob-names.ts'
import type { Owner } from '#/core/holdings.ts'
import { createRecordTally } from './read-records.ts'
import type { Tally } from './tally.ts'

interface Version {
  readonly bindings?: readonly { readonly kind: string }[]
  readonly assets?: { readonly headersFile?: string; readonly redirectsFile?: string }
}

interface Certificate {
  readonly names?: readonly string[]
  /** Sealed. */
  readonly key?: string
}

export interface CodeTally {
  /** A record of the control plane, the log of changes, or what a node serves. */
  record(bucket: string, key: string, value: Uint8Array, place: string): void
  /** A row of `placed-blobs@DE`. */
  row(bucket: string, key: string, bytes: number, place: string): void
  /** A file that was made of the blob of this name. */
  file(name: string, bytes: number, place: string): void
  /** Tells whose the rows are, once all records were seen. */
  finish(): void
}

export function createCodeTally(tally: Tally): CodeTally {
  const owners = new Map<string, Owner>()
  const records = createRecordTally(tally)
  const rows: { readonly name: string; readonly bytes: number; readonly place: string }[] = []

  function see(program: string, version: Version, place: string): void {
    const values = (version.bindings ?? []).filter(({ kind }) => ['text', 'json', 'secret'].includes(kind))
    if (values.length > 0) tally.add(programNamed(program), place, Buffer.byteLength(JSON.stringify(values)))
    const { headersFile = '', redirectsFile = '' } = version.assets ?? {}
    const rules = Buffer.byteLength(headersFile) + Buffer.byteLength(redirectsFile)
    if (rules > 0) tally.add(programNamed(program), place, rules)
    nameBlobs(version, programNamed(program))
  }

  function nameBlobs(record: unknown, owner: Owner): void {
    for (const [name] of JSON.stringify(record).matchAll(/\b[0-9a-f]{64}(?:@[A-Z,]+)?/g)) owners.set(name, owner)
  }

  function seeCertificate(record: Certificate, place: string): void {
    const owner: Owner = { kind: 'certificate', id: (record.names ?? []).join() }
    if (record.key !== undefined) tally.add(owner, place, record.key.length)
    nameBlobs(record, owner)
  }

  return {
    record(bucket, key, value, place) {
      const parsed = parse(value)
      const [base = '', within] = bucket.split('@')
      records.record(base, key, parsed, place, within?.split(','))
      if (bucket === 'resources' && parsed !== undefined)
        nameBlobs(parsed, { kind: 'store', id: key.slice(key.indexOf('/') + 1) })
      if (bucket === 'certificates') seeCertificate(parsed as Certificate, place)
      if (bucket === 'program-versions') see(key.split('/')[0]!, parsed as Version, place)
      if (bucket === 'control-log') for (const [name, version] of versionsIn(parsed)) see(name, version, place)
      if (bucket === 'program') for (const version of deploymentsIn(parsed)) see(key, version, place)
    },
    row(bucket, key, bytes, place) {
      const name = `${key.split('/')[0]}@${bucket.slice(bucket.indexOf('@') + 1)}`
      rows.push({ name, bytes, place })
    },
    file: (name, bytes, place) => void rows.push({ name, bytes, place }),
    finish() {
      records.finish()
      // Files are named in a manifest that is encrypted, older versions perhaps in another folder.
      for (const { name, bytes, place } of rows) {
        const within = withinOfBlob(name)
        tally.add(owners.get(name) ?? programNamed('(files, keys, older versions)'), place, bytes, within)
      }
    },
  }
}

const programNamed = (id: string): Owner => ({ kind: 'program', id })

/** In a copy a revision of 8 bytes stands in front. */
function parse(value: Uint8Array): unknown {
  for (const bytes of [value, value.subarray(8)])
    try {
      return JSON.parse(Buffer.from(bytes).toString('utf8'))
    } catch {
      // Not where its text begins.
    }
  return undefined
}

function* versionsIn(entry: unknown): Generator<[string, Version]> {
  const { programs = [] } = ((entry as { change?: object } | undefined)?.change ?? {}) as {
    programs?: { name: string; serving?: Version[] }[]
  }
  for (const { name, serving = [] } of programs) for (const version of serving) yield [name, version]
}

function deploymentsIn(program: unknown): Version[] {
  const { rollout = [] } = (program ?? {}) as { rollout?: { deployment: Version }[] }
  return rollout.map(({ deployment }) => deployment)
}
