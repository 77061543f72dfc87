/** Dates in header fields, RFC 9110 §5.6.7: three forms are read, names in any case; anything else is no date. */

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

const monthName = '(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)'
const time = '(\\d\\d):(\\d\\d):(\\d\\d)'
const imfFixdate = new RegExp(`^(?:mon|tue|wed|thu|fri|sat|sun), (\\d\\d) ${monthName} (\\d{4}) ${time} gmt$`, 'i')
const rfc850 = new RegExp(
  `^(?:mon|tues|wednes|thurs|fri|satur|sun)day, (\\d\\d)-${monthName}-(\\d\\d) ${time} gmt$`,
  'i',
)
const asctime = new RegExp(`^(?:mon|tue|wed|thu|fri|sat|sun) ${monthName} ([ \\d]\\d) ${time} (\\d{4})$`, 'i')

function epochMs(year: number, month: string, day: string, [hour, minute, second]: readonly string[]) {
  const [hours, minutes, seconds] = [Number(hour), Number(minute), Number(second)]
  if (hours > 23 || minutes > 59 || seconds > 60) return undefined
  const midnight = new Date(0)
  // Date.UTC takes years below 100 for ones of the twentieth century.
  midnight.setUTCFullYear(year, months.indexOf(month.toLowerCase()), Number(day))
  if (midnight.getUTCDate() !== Number(day)) return undefined
  return midnight.getTime() + ((hours * 60 + minutes) * 60 + seconds) * 1000
}

/**
 * Milliseconds since 1970, or undefined when the text is no date. `now` decides the century of a year with two digits:
 * one that seems more than fifty years ahead is past.
 */
export function parseHttpDate(text: string, now: number): number | undefined {
  const fixed = imfFixdate.exec(text)
  if (fixed !== null) return epochMs(Number(fixed[3]), fixed[2]!, fixed[1]!, fixed.slice(4))
  const old = rfc850.exec(text)
  if (old !== null) {
    const thisYear = new Date(now).getUTCFullYear()
    let year = thisYear - (thisYear % 100) + Number(old[3])
    if (year > thisYear + 50) year -= 100
    return epochMs(year, old[2]!, old[1]!, old.slice(4))
  }
  const c = asctime.exec(text)
  return c === null ? undefined : epochMs(Number(c[6]), c[1]!, c[2]!.trim(), c.slice(3, 6))
}

/** IMF-fixdate; fractions of a second are lost. */
export function formatHttpDate(ms: number): string {
  return new Date(ms).toUTCString()
}
