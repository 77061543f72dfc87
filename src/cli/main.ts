/** `rimward`: the command line. `bin/rimward.mjs` starts this file on the right Node. */
import { readFileSync } from 'node:fs'
import { Complaint } from './complaint.ts'
import { createProgram } from './program.ts'
import type { Terminal } from './terminal.ts'

const terminal: Terminal = {
  env: process.env,
  folder: process.cwd(),
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
}
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

// A reader such as `head` that has seen enough is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

const program = createProgram({
  terminal,
  version,
  start: async (options) => (await import('#/platform.ts')).startPlatform(options),
  process,
  now: Date.now,
})
try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof Complaint)) throw error
  terminal.err(`rimward: ${error.message}`)
  process.exit(1)
}
