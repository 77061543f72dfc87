/** The `console` blocks of a page, and a shell that types them and compares what comes. */
import { type ChildProcess, spawn } from 'node:child_process'

export interface ConsoleStep {
  readonly command: string
  /** Lines shown below the command; `…` stands for the rest of a line, and alone for any number of lines. */
  readonly shows: readonly string[]
}

export type ConsoleBlock = readonly ConsoleStep[]

/** All blocks fenced as `console`, in order; a line that begins with `$ ` is typed, the others are what comes. */
export function consoleBlocks(markdown: string): ConsoleBlock[] {
  return [...markdown.matchAll(/^```console\n([\s\S]*?)^```$/gm)].map(([, text = '']) => {
    const steps: { command: string; shows: string[] }[] = []
    for (const line of text.trimEnd().split('\n')) {
      if (line.startsWith('$ ')) steps.push({ command: line.slice(2), shows: [] })
      else steps.at(-1)?.shows.push(line.trimEnd())
    }
    return steps
  })
}

/** What differs from run to run, or from machine to machine, in places where it may. */
const loose: readonly (readonly [sample: RegExp, pattern: string])[] = [
  [/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/, '[0-9a-f-]{36}'],
  [/\b[0-9a-f]{16}\b/, '[0-9a-f]{16}'],
  [/\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/, '.+ GMT'],
  [/\d\d:\d\d:\d\d\.\d{3}/, '\\d\\d:\\d\\d:\\d\\d\\.\\d{3}'],
  [/\d+(?:\.\d+)? (?:sec|ms|KiB)\b/, '\\d+(?:\\.\\d+)? (?:sec|ms|KiB)'],
  [/\d+\.\d+\.\d+(?![.\d])/, '\\d+\\.\\d+\\.\\d+'],
  [/:\d+:\d+\)/, ':\\d+:\\d+\\)'],
  [/…/, '.*'],
]
const anyLoose = new RegExp(loose.map(([sample]) => `(${sample.source})`).join('|'), 'g')

/** A line of a page as the pattern of lines that are as good. */
export function linePattern(line: string): RegExp {
  let pattern = ''
  let end = 0
  for (const match of line.matchAll(anyLoose)) {
    pattern += RegExp.escape(line.slice(end, match.index))
    pattern += loose[match.slice(1).findIndex((group) => group !== undefined)]![1]
    end = match.index + match[0].length
  }
  return new RegExp(`^${pattern}${RegExp.escape(line.slice(end))}\\s*$`)
}

/**
 * The first line that is shown but did not come; undefined when all came. Their order is free: a job in the background
 * writes when it likes.
 */
export function missingLine(shows: readonly string[], output: string): string | undefined {
  const came = output.replaceAll('\r', '').split('\n')
  for (const line of shows) {
    if (line === '' || line === '…') continue
    const at = came.findIndex((text) => linePattern(line).test(text))
    if (at === -1) return line
    came.splice(at, 1)
  }
  return undefined
}

export interface ShellSession {
  /** Types a command; resolves when everything that is shown has come and, unless it ends in `&`, the command is done. */
  type(step: ConsoleStep): Promise<void>
  end(): Promise<void>
}

/** A `bash` whose state (folder, variables, jobs) lasts from one command to the next. */
export function openShell(options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv }): ShellSession {
  const shell: ChildProcess = spawn('bash', ['--norc', '--noprofile'], { ...options, stdio: ['pipe', 'pipe', 'pipe'] })
  const exited = new Promise((resolve) => shell.once('exit', resolve))
  let output = ''
  let look = (): void => {}
  const read = (chunk: Buffer) => {
    output += String(chunk)
    look()
  }
  shell.stdout!.on('data', read)
  shell.stderr!.on('data', read)
  let count = 0

  async function type({ command, shows }: ConsoleStep): Promise<void> {
    const from = output.length
    const mark = `done-${++count}:`
    const background = command.endsWith('&')
    shell.stdin!.write(`${command}\n${background ? '' : `echo; echo "${mark}$?"\n`}`)
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        look = () => {}
        reject(new Error(`$ ${command}\nlacks: ${missingLine(shows, output.slice(from))}\n${output.slice(from)}`))
      }, 30_000)
      look = () => {
        const came = output.slice(from)
        if (!background && !came.includes(mark)) return
        if (missingLine(shows, came) !== undefined) return
        clearTimeout(timer)
        look = () => {}
        if (background || came.includes(`${mark}0\n`)) resolve()
        else reject(new Error(`$ ${command}\nfailed:\n${came}`))
      }
      look()
    })
  }

  return {
    type,
    async end() {
      shell.stdin!.end('kill $(jobs -p) 2>/dev/null\n')
      await exited
    },
  }
}
