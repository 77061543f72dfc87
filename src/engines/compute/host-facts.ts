/** What programs ask of the world around them: where an address is, what a device is, how often something happened. */
import { EdgeError } from '#/core/errors.ts'
import type { Place } from '#/core/place.ts'
import type { HostCalls, HostRun } from './host-calls.ts'
import { textOf, textReply } from './host-stores.ts'
import { placeJson } from './place-json.ts'
import type { RateCounters } from './rate-counters.ts'
import type { Head, Reply } from './wire-messages.ts'

export interface FactParts {
  /** Undefined for addresses of which nothing is known, private ones above all. */
  readonly locate: (address: string) => Place | undefined
  /** Serialized JSON for a `User-Agent`; absent where the operator gave no file. */
  readonly devices?: (userAgent: string) => string | undefined
  readonly rates: RateCounters
}

/** Programs need not ask whether there is a place at all: Fastly's edge has an answer for every address. */
const nowhere: Place = {}

export function factCalls({ locate, devices, rates }: FactParts): HostCalls {
  const numbered = (value: number | boolean): Reply => ({ head: { value: Number(value) }, body: null })
  const named = (run: HostRun, head: Head) =>
    [run.program.name, textOf(head, 'name'), textOf(head, 'entry')] as [string, string, string]
  return {
    'geo.lookup': (_run, head) => {
      const place = locate(textOf(head, 'address'))
      return textReply(placeJson(place ?? nowhere))
    },
    'device.lookup': (_run, head) => textReply(devices?.(textOf(head, 'userAgent'))),
    'rate.increment': (run, head) => {
      rates.increment(...named(run, head), numberOf(head, 'delta'))
      return numbered(0)
    },
    'rate.rate': (run, head) => numbered(rates.rate(...named(run, head), numberOf(head, 'window'))),
    'rate.count': (run, head) => numbered(rates.count(...named(run, head), numberOf(head, 'duration'))),
    'rate.check': (run, head) => {
      const [program, counter, entry] = named(run, head)
      const [delta, window] = [numberOf(head, 'delta'), numberOf(head, 'window')]
      const [limit, seconds] = [numberOf(head, 'limit'), numberOf(head, 'ttl')]
      const box = textOf(head, 'box')
      return numbered(rates.check(program, { counter, entry, delta, window, limit, box, seconds }))
    },
    'penalty.add': (run, head) => {
      rates.punish(...named(run, head), numberOf(head, 'ttl'))
      return numbered(0)
    },
    'penalty.has': (run, head) => numbered(rates.punished(...named(run, head))),
  }
}

function numberOf(head: Head, name: string): number {
  const value = head[name]
  if (typeof value !== 'number') throw new EdgeError('bad_request', `${name} is missing.`)
  return value
}
