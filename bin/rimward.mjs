#!/usr/bin/env node
// Runs the CLI on the Node that `npm ci` brought along, whatever Node started this file:
// the sources are TypeScript and rely on Node 26 to strip the types.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module from 'node:module'
import { fileURLToPath } from 'node:url'

const root = new URL('..', import.meta.url)
const own = fileURLToPath(new URL('node_modules/node/bin/node', root))
const current = Number(process.versions.node.split('.')[0])

if (current < 26 && !existsSync(own)) {
  console.error(`rimward needs Node 26; this is ${process.version} and node_modules/node is missing. Run "npm ci".`)
  process.exit(1)
}

/**
 * npx puts a shell between itself and us which does not pass SIGTERM on: when that shell is gone, whoever started npx
 * wants us to stop.
 */
function whenOrphaned(stop) {
  if (process.env.npm_command !== 'exec') return
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    stop()
  }, 100)
  timer.unref()
}

/** That Node still calls some of what we rely on experimental is for us to know, not for a user at every start. */
function keepExperimentsQuiet() {
  const show = process.listeners('warning')
  process.removeAllListeners('warning')
  process.on('warning', (warning) => {
    if (warning.name !== 'ExperimentalWarning') for (const listener of show) listener(warning)
  })
}

if (current >= 26) {
  keepExperimentsQuiet()
  // Compiled code and stripped types are kept beside the packages they come from: a start takes half the time.
  module.enableCompileCache(fileURLToPath(new URL('node_modules/.cache/rimward', root)))
  whenOrphaned(() => process.kill(process.pid, 'SIGTERM'))
  await import(new URL('src/cli/main.ts', root).href)
} else {
  const child = spawn(own, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  whenOrphaned(() => child.kill('SIGTERM'))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)))
}
