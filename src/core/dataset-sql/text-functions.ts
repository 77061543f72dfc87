/** Functions of texts. */
import type { ScalarFunction, Takes } from './functions.ts'
import { showValue } from './show-value.ts'
import { SqlRefusal } from './syntax.ts'
import type { Value } from './values.ts'

/** Of what `format()` makes: aliases in each other would double it each time. */
const mostText = 1_000_000

type Run = (...values: Value[]) => Value

const ofTexts = (
  takes: readonly Takes[],
  gives: string,
  run: (...values: never[]) => Value,
  least?: number,
): ScalarFunction => ({
  takes,
  gives,
  make: () => run as unknown as Run,
  ...(least !== undefined && { least }),
})

const lowerCase = ofTexts(['text'], 'String', (text: string) => text.toLowerCase())
const upperCase = ofTexts(['text'], 'String', (text: string) => text.toUpperCase())

/** Code points from the `offset`-th on, the first being 1; an offset below 0 counts from the end. */
function substring(text: string, offset: number, length?: number): string {
  const points = [...text]
  const from = offset > 0 ? offset - 1 : offset < 0 ? Math.max(points.length + offset, 0) : points.length
  return points.slice(from, length === undefined ? undefined : from + Math.max(length, 0)).join('')
}

export const textFunctions: Readonly<Record<string, ScalarFunction>> = {
  length: ofTexts(['text'], 'UInt64', (text: string) => [...text].length),
  empty: ofTexts(['text'], 'UInt8', (text: string) => (text === '' ? 1 : 0)),
  lower: ofTexts(['text'], 'String', (text: string) => text.replace(/[A-Z]+/g, (found) => found.toLowerCase())),
  upper: ofTexts(['text'], 'String', (text: string) => text.replace(/[a-z]+/g, (found) => found.toUpperCase())),
  lowerUTF8: lowerCase,
  toLower: lowerCase,
  upperUTF8: upperCase,
  toUpper: upperCase,
  startsWith: ofTexts(['text', 'text'], 'UInt8', (text: string, start: string) => (text.startsWith(start) ? 1 : 0)),
  endsWith: ofTexts(['text', 'text'], 'UInt8', (text: string, end: string) => (text.endsWith(end) ? 1 : 0)),
  position: ofTexts(['text', 'text'], 'UInt64', (needle: string, text: string) => {
    const found = text.indexOf(needle)
    return found === -1 ? 0 : [...text.slice(0, found)].length + 1
  }),
  substring: ofTexts(['text', 'number', 'number'], 'String', substring, 2),
  format: {
    takes: ['text!'],
    rest: 'any',
    gives: 'String',
    make(args) {
      const [pattern, ...values] = args
      const parts = String(pattern!.constant).split('{}')
      if (parts.some((part) => /[{}]/.test(part)) || parts.length !== values.length + 1)
        throw new SqlRefusal(`format() has ${parts.length - 1} {} for ${values.length} values`, pattern!.at)
      return (_, ...shown) => {
        const text = parts
          .map((part, index) => (index === 0 ? part : showValue(shown[index - 1]!, values[index - 1]!.type) + part))
          .join('')
        if (text.length > mostText) throw new SqlRefusal(`format() gives more than ${mostText} characters`, pattern!.at)
        return text
      }
    },
  },
}
