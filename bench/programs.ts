/** The Workers that the benchmarks run: the same source for every peer. */
export const compatibilityDate = '2026-11-01'

export const helloSource = `export default { fetch() { return new Response('Hello World\\n') } }\n`

export type Size = 'tiny' | '100 KB' | '500 KB'
export const sizes: readonly Size[] = ['tiny', '100 KB', '500 KB']
const bytesOf: Record<Size, number> = { tiny: 0, '100 KB': 100_000, '500 KB': 500_000 }

/** A program of about that size: functions that could be called, as in a bundle with libraries, around a hello world. */
export function sourceOf(size: Size): string {
  const parts: string[] = []
  for (let bytes = 0, index = 0; bytes < bytesOf[size]; index += 1) {
    const part = `function part${index}(a, b) { const list = [a, b, ${index}]; return list.map((x) => x * 2).filter(Boolean).join('${index}') }\n`
    parts.push(part)
    bytes += part.length
  }
  const used = parts.length === 0 ? `''` : `part${parts.length - 1}(1, 2)`
  return `${parts.join('')}export default { fetch() { return new Response('Hello World\\n' + (globalThis.never ? ${used} : '')) } }\n`
}
