/** Compute programs that say hello, in our engine, beside Node's own `http`. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import loadWabt from 'wabt'
import { launch, type Peer, type Target } from '../target.ts'

export const helloText = `(module
  (import "fastly_http_resp" "new" (func $response (param i32) (result i32)))
  (import "fastly_http_resp" "send_downstream" (func $send (param i32 i32 i32) (result i32)))
  (import "fastly_http_body" "new" (func $body (param i32) (result i32)))
  (import "fastly_http_body" "write" (func $write (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "hello from wasm")
  (func (export "_start")
    (drop (call $response (i32.const 0)))
    (drop (call $body (i32.const 4)))
    (drop (call $write (i32.load (i32.const 4)) (i32.const 64) (i32.const 15) (i32.const 0) (i32.const 8)))
    (drop (call $send (i32.load (i32.const 0)) (i32.load (i32.const 4)) (i32.const 0)))))`

const helloScript = `addEventListener('fetch', (event) => event.respondWith(new Response('hello from js')))`

/** A small module, from text. */
export async function smallModule(): Promise<Uint8Array> {
  return (await loadWabt()).parseWat('hello.wat', helloText).toBinary({}).buffer
}

/** Built by Fastly's JavaScript SDK; takes some seconds. */
export function scriptModule(): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'bench-js-'))
  try {
    const [source, wasm] = [join(folder, 'hello.js'), join(folder, 'hello.wasm')]
    writeFileSync(source, helloScript)
    const compiler = join(sdkFolder, 'dist/cli/js-compute-runtime-cli.js')
    execFileSync(process.execPath, [compiler, source, wasm], { stdio: 'ignore' })
    return readFileSync(wasm)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const sdkFolder = fileURLToPath(new URL('../../node_modules/@fastly/js-compute', import.meta.url))

export const sdkVersion = (JSON.parse(readFileSync(join(sdkFolder, 'package.json'), 'utf8')) as { version: string })
  .version

function fileOf(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url))
}

async function started(folder: string, args: readonly string[]): Promise<Target> {
  const running = launch(process.execPath, ['--disable-warning=ExperimentalWarning', ...args])
  const [line] = await running.until(/^\{.*\}$/m)
  const { http } = JSON.parse(line) as { http: { port: number } }
  // The first request prepares the module, as a deploy does.
  await new Promise<void>((resolve, reject) => {
    const asked = get({ host: '127.0.0.1', port: http.port, headers: { host: 'hello.localhost' } }, (response) => {
      response.resume().once('end', resolve)
    })
    asked.once('error', reject)
  })
  return {
    host: '127.0.0.1',
    port: http.port,
    authorities: ['hello.localhost'],
    path: '/',
    pid: running.child.pid!,
    async stop() {
      await running.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function program(name: string, moduleOf: () => Uint8Array | Promise<Uint8Array>, flags: readonly string[] = []): Peer {
  return {
    name,
    version: process.versions.node,
    async start() {
      const folder = mkdtempSync(join(tmpdir(), 'bench-compute-'))
      const file = join(folder, 'main.wasm')
      writeFileSync(file, await moduleOf())
      const args = ['--module', file, '--folder', folder, '--log', join(folder, 'log.jsonl'), ...flags]
      return started(folder, [fileOf('compute-process.ts'), ...args])
    },
  }
}

export const nodeHello: Peer = {
  name: 'node:http',
  version: process.versions.node,
  start: () => started(mkdtempSync(join(tmpdir(), 'bench-http-')), [fileOf('http-process.ts')]),
}
export const smallProgram = program('rimward, small module', smallModule)
export const scriptProgram = program('rimward, JavaScript SDK', scriptModule)
export const newScriptProgram = program('rimward, JavaScript SDK, a new instance each', scriptModule, ['--new'])
