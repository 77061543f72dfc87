/** workerd alone: a Worker in its configuration, and Workers through its own loader binding. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compatibilityDate, helloSource, type Size, sizes, sourceOf } from '../programs.ts'
import { launch, type Peer, type Target } from '../target.ts'

const require = createRequire(import.meta.url)
const { version } = require('workerd/package.json') as { version: string }
const { default: binary } = require('workerd') as { default: string }

async function serve(config: string, files: Record<string, string>, authorities: readonly string[]): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-workerd-'))
  for (const [name, text] of Object.entries({ ...files, 'config.capnp': config }))
    writeFileSync(join(folder, name), text)
  const args = ['serve', '--experimental', '--control-fd=3', join(folder, 'config.capnp')]
  const running = launch(binary, args, { controlPipe: true })
  const [, port] = await running.until(/"event":"listen","socket":"http","port":(\d+)/)
  return {
    host: '127.0.0.1',
    port: Number(port),
    authorities,
    path: '/',
    pid: running.child.pid!,
    async stop() {
      await running.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const configOf = (modules: string, extra = ''): string => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [${modules}],
  compatibilityDate = "${compatibilityDate}",
  ${extra}
);
`

export const bareWorkerd: Peer = {
  name: 'workerd serve',
  version,
  start: () =>
    serve(configOf('(name = "main.js", esModule = embed "main.js")'), { 'main.js': helloSource }, ['hello.localhost']),
}

const fileOf = (size: Size): string => `${size.replace(' ', '-')}.txt`

// The first label of the host is the program's name, the part before its last dash the size.
const loaderSource = `
${sizes.map((size, index) => `import text${index} from './${fileOf(size)}'`).join('\n')}
const texts = { ${sizes.map((size, index) => `'${size.replace(' ', '').toLowerCase()}': text${index}`).join(', ')} }
export default {
  fetch(request, env) {
    const name = new URL(request.url).hostname.split('.')[0]
    const worker = env.LOADER.get(name, async () => ({
      compatibilityDate: '${compatibilityDate}',
      mainModule: 'main.js',
      modules: { 'main.js': texts[name.slice(0, name.lastIndexOf('-'))] + '// ' + name },
    }))
    return worker.getEntrypoint().fetch(request)
  },
}
`

/** Serves any host \`SIZE-NUMBER.localhost\`, each a program of its own. */
export const loaderWorkerd: Peer = {
  name: "workerd's loader",
  version,
  start: () => {
    const files = Object.fromEntries(sizes.map((size) => [fileOf(size), sourceOf(size)]))
    const modules = Object.keys(files).map((name) => `(name = "${name}", text = embed "${name}")`)
    return serve(
      configOf(
        ['(name = "main.js", esModule = embed "main.js")', ...modules].join(', '),
        'bindings = [(name = "LOADER", workerLoader = ())], compatibilityFlags = ["experimental"],',
      ),
      { ...files, 'main.js': loaderSource },
      ['tiny-0.localhost'],
    )
  },
}
