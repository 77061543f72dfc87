import { ByteReader } from './byte-reader.ts'
import { faultsAsValues } from './module-fault.ts'
import type { Section } from './module-shape.ts'

/**
 * What the custom sections `name` and `producers` tell (core specification §A.4.1; tool conventions,
 * ProducersSection.md). They carry no meaning for the program, so one that cannot be read counts as absent.
 */
export function readCustomSections(
  bytes: Uint8Array,
  sections: readonly Section[],
): { moduleName: string | undefined; producers: ReadonlyMap<string, readonly string[]> } {
  const read = <T>(name: string, work: (reader: ByteReader) => T): T | undefined => {
    const section = sections.find((entry) => entry.name === name)
    if (section === undefined) return undefined
    const reader = new ByteReader(bytes, section.content, section.end)
    const outcome = faultsAsValues(() => {
      reader.name()
      return work(reader)
    })
    return outcome.ok ? outcome.value : undefined
  }
  return { moduleName: read('name', readModuleName), producers: read('producers', readProducers) ?? new Map() }
}

function readModuleName(reader: ByteReader): string | undefined {
  if (reader.at >= reader.end || reader.byte() !== 0) return undefined
  reader.u32()
  return reader.name()
}

function readProducers(reader: ByteReader): Map<string, string[]> {
  const fields = new Map<string, string[]>()
  for (let left = reader.count('fields'); left > 0; left--) {
    const field = reader.name()
    const values: string[] = []
    for (let more = reader.count('values'); more > 0; more--) values.push(`${reader.name()} ${reader.name()}`.trim())
    fields.set(field, values)
  }
  return fields
}
