/** Reads what a program exports without running it, with esbuild: stands in for an engine's proof in tests of other rooms. */
import { dirname, posix } from 'node:path'
import { build } from 'esbuild'
import type { Blobs, Engine, Proof } from '#/core/ports.ts'
import type { ObjectNamespace, ProgramCode } from '#/core/snapshot.ts'

export function createProver(blobs: Blobs): Pick<Engine, 'prove' | 'forget'> & { forgotten: ObjectNamespace[] } {
  const forgotten: ObjectNamespace[] = []
  return {
    forgotten,
    prove: async (_program, { code }) =>
      code === undefined ? { ok: true, exports: [], startupMs: 0 } : prove(blobs, code),
    async forget(objects) {
      forgotten.push(...objects)
    },
  }
}

const loaders = { esm: 'js', cjs: 'js', text: 'text', json: 'json', data: 'binary', wasm: 'binary' } as const

async function prove(blobs: Blobs, code: ProgramCode): Promise<Proof> {
  const texts = new Map<string, string>()
  for (const module of code.modules)
    texts.set(module.name, Buffer.from((await blobs.get(module.blob)) ?? []).toString('utf8'))
  try {
    const built = await build({
      entryPoints: [code.mainModule],
      bundle: true,
      write: false,
      metafile: true,
      format: 'esm',
      logLevel: 'silent',
      outfile: 'out.js',
      plugins: [
        {
          name: 'modules',
          setup({ onResolve, onLoad }) {
            onResolve({ filter: /.*/ }, ({ path, importer }) => {
              const name = [path, posix.join(dirname(importer), path)].find((one) => texts.has(one))
              return name === undefined ? { path, external: true } : { path: name, namespace: 'modules' }
            })
            onLoad({ filter: /.*/, namespace: 'modules' }, ({ path }) => ({
              contents: texts.get(path)!,
              loader: loaders[code.modules.find((module) => module.name === path)!.kind],
            }))
          },
        },
      ],
    })
    const names = Object.values(built.metafile.outputs)[0]?.exports ?? []
    return {
      ok: true,
      startupMs: 1,
      exports: names.map((name) =>
        name === 'default' ? { name, kind: 'handlers', handlers: ['fetch'] } : { name, kind: 'object', handlers: [] },
      ),
    }
  } catch (error) {
    const first = (error as { errors: { text: string; location: { file: string; line: number; column: number } }[] })
      .errors[0]!
    const { file, line, column } = first.location
    const module = file.replace(/^modules:/, '')
    return { ok: false, message: `Uncaught SyntaxError: ${first.text}`, module, line, column: column + 1 }
  }
}
