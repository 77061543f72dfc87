/** Configuration of a shared cell: the host in front of a loader, and the ways out, all through one socket to us. */
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { cellSocket } from './cell.ts'

const inside = join(import.meta.dirname, 'inside')

export interface LoaderSources {
  readonly host: string
  readonly everywhere: string
  readonly prelude: string
  readonly front: string
}

/** Reads what runs inside, as JavaScript. Once a process. */
export function readLoaderSources(): LoaderSources {
  const strip = (file: string) => stripTypeScriptTypes(readFileSync(join(inside, file), 'utf8'))
  return {
    host: strip('host.worker.ts'),
    everywhere: strip('everywhere.worker.ts'),
    prelude: strip('prelude.worker.ts'),
    front: strip('front.worker.ts'),
  }
}

/** Files beside the configuration; `blank` is an empty folder there, which answers the heartbeat without JavaScript. */
export function loaderFiles(sources: LoaderSources): Map<string, string> {
  return new Map([
    ['host.js', sources.host],
    ['everywhere.js', sources.everywhere],
    ['prelude.js', sources.prelude],
    ['front.js', sources.front],
  ])
}

/**
 * Configuration text for a cell in `folder`, whose backplane listens on its socket `backplane`. A young generation
 * of 1 MiB cuts the garbage collector's tail to a third (docs/decisions/0001-cells.md).
 */
export function loaderConfig(folder: string): string {
  const backplane = `"unix:${join(folder, 'backplane')}"`
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  v8Flags = ["--max-semi-space-size=1"],
  services = [
    (name = "host", worker = (
      modules = [
        (name = "host.js", esModule = embed "host.js"),
        (name = "everywhere.worker.ts", esModule = embed "everywhere.js"),
      ],
      compatibilityDate = "2026-01-01",
      compatibilityFlags = ["nodejs_compat", "experimental"],
      bindings = [
        (name = "LOADER", workerLoader = (id = "programs")),
        (name = "BACKPLANE", service = "backplane"),
        (name = "EGRESS", service = "egress"),
        (name = "CELLS", workerdDebugPort = void),
        (name = "PRELUDE", text = embed "prelude.js"),
        (name = "FRONT", text = embed "front.js"),
      ],
      cacheApiOutbound = "cache",
      globalOutbound = "backplane")),
    (name = "backplane", external = (address = ${backplane}, http = ())),
    (name = "egress", external = (address = ${backplane}, http = (style = proxy, cfBlobHeader = "rimward-cf"))),
    (name = "cache", external = (address = ${backplane}, http = (style = proxy))),
    (name = "blank", disk = (path = ${JSON.stringify(join(folder, 'blank'))})),
  ],
  sockets = [
    (name = "programs", address = "unix:${cellSocket(folder, 'programs')}",
      http = (cfBlobHeader = "rimward-cf", forwardedProtoHeader = "rimward-proto"), service = "host"),
    (name = "beat", address = "unix:${cellSocket(folder, 'beat')}", http = (), service = "blank"),
  ]);
`
}
