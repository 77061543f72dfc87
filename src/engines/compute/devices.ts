/**
 * What devices are: a file of the operator's, in the shape of Viceroy's `device_detection` (an object from `User-Agent` to
 * an object with `user_agent` and `device`). There is no such data in the public domain, so none comes with the program.
 */
import { readFile } from 'node:fs/promises'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'

/** Undefined where there is no such file. Rejects with `bad_request` for one that is no table of user agents. */
export async function readDevices(
  file: string,
  limits: Pick<Limits, 'computeDevices'>,
): Promise<((userAgent: string) => string | undefined) | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const table = parse(file, text)
  if (table.length > limits.computeDevices)
    throw new EdgeError('bad_request', `${file} has ${table.length} devices, more than ${limits.computeDevices}.`)
  const devices = new Map(table.map(([userAgent, device]) => [userAgent, JSON.stringify(device)]))
  return (userAgent) => devices.get(userAgent)
}

function parse(file: string, text: string): [string, unknown][] {
  let table: unknown
  try {
    table = JSON.parse(text)
  } catch (error) {
    throw new EdgeError('bad_request', `${file} is not JSON: ${(error as Error).message}.`, { cause: error })
  }
  const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)
  const entries = isObject(table) ? Object.entries(table as object) : []
  if (!isObject(table) || !entries.every(([, device]) => isObject(device)))
    throw new EdgeError('bad_request', `${file} is not an object from user agents to objects.`)
  return entries
}
