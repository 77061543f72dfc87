/** Configuration of a shared cell: the host in front of a loader, and the ways out, all through one socket to us. */
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { cellSocket } from './cell.ts'

const inside = join(import.meta.dirname, 'inside')

export interface LoaderSources {
  readonly host: string
  readonly hostWays: string
  readonly leave: string
  readonly dispatched: string
  readonly outbound: string
  readonly everywhere: string
  readonly events: string
  readonly prelude: string
  readonly front: string
  readonly workflowRun: string
  readonly workflowSteps: string
  readonly workflowValues: string
}

/** Reads what runs inside, as JavaScript. Once a process. */
export function readLoaderSources(): LoaderSources {
  const strip = (file: string) => stripTypeScriptTypes(readFileSync(join(inside, file), 'utf8'))
  return {
    host: strip('host.worker.ts'),
    hostWays: strip('host-ways.worker.ts'),
    leave: strip('leave.worker.ts'),
    dispatched: strip('dispatched.worker.ts'),
    outbound: strip('outbound.worker.ts'),
    everywhere: strip('everywhere.worker.ts'),
    events: strip('events.worker.ts'),
    prelude: strip('prelude.worker.ts'),
    front: strip('front.worker.ts'),
    workflowRun: strip('workflow-run.worker.ts'),
    workflowSteps: strip('workflow-steps.worker.ts'),
    workflowValues: strip('workflow-values.worker.ts'),
  }
}

/** Files beside the configuration; `blank` is an empty folder there, which answers the heartbeat without JavaScript. */
export function loaderFiles(sources: LoaderSources): Map<string, string> {
  return new Map([
    ['host.js', sources.host],
    ['host-ways.js', sources.hostWays],
    ['leave.js', sources.leave],
    ['dispatched.js', sources.dispatched],
    ['outbound.js', sources.outbound],
    ['everywhere.js', sources.everywhere],
    ['events.js', sources.events],
    ['prelude.js', sources.prelude],
    ['front.js', sources.front],
    ['workflow-run.js', sources.workflowRun],
    ['workflow-steps.js', sources.workflowSteps],
    ['workflow-values.js', sources.workflowValues],
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
${host('host', [])},
${host('events', ['service_binding_extra_handlers'])},
    (name = "backplane", external = (address = ${backplane}, http = ())),
    (name = "egress", external = (address = ${backplane}, http = (style = proxy, cfBlobHeader = "rimward-cf"))),
    (name = "cache", external = (address = ${backplane}, http = (style = proxy))),
    (name = "blank", disk = (path = ${JSON.stringify(join(folder, 'blank'))})),
  ],
  sockets = [
    (name = "programs", address = "unix:${cellSocket(folder, 'programs')}",
      http = (cfBlobHeader = "rimward-cf", forwardedProtoHeader = "rimward-proto"), service = "host"),
    (name = "events", address = "unix:${cellSocket(folder, 'events')}", http = (), service = "events"),
    (name = "beat", address = "unix:${cellSocket(folder, 'beat')}", http = (), service = "blank"),
  ]);
`
}

/**
 * The host as a service. What tells programs of events has one flag more; it has the same loader, so the same isolates, and
 * the same entrypoints, should it be the first to load one.
 */
function host(name: string, flags: readonly string[]): string {
  const all = ['nodejs_compat', 'experimental', ...flags].map((flag) => JSON.stringify(flag))
  return `    (name = "${name}", worker = (
      modules = [
        (name = "host.js", esModule = embed "host.js"),
        (name = "host-ways.worker.ts", esModule = embed "host-ways.js"),
        (name = "leave.worker.ts", esModule = embed "leave.js"),
        (name = "everywhere.worker.ts", esModule = embed "everywhere.js"),
        (name = "events.worker.ts", esModule = embed "events.js"),
        (name = "workflow-run.worker.ts", esModule = embed "workflow-run.js"),
        (name = "workflow-steps.worker.ts", esModule = embed "workflow-steps.js"),
        (name = "workflow-values.worker.ts", esModule = embed "workflow-values.js"),
      ],
      compatibilityDate = "2026-01-01",
      compatibilityFlags = [${all.join(', ')}],
      bindings = [
        (name = "LOADER", workerLoader = (id = "programs")),
        (name = "BACKPLANE", service = "backplane"),
        (name = "EGRESS", service = "egress"),
        (name = "CELLS", workerdDebugPort = void),
        (name = "PRELUDE", text = embed "prelude.js"),
        (name = "FRONT", text = embed "front.js"),
        (name = "DISPATCHED", text = embed "dispatched.js"),
        (name = "OUTBOUND", text = embed "outbound.js"),
      ],
      cacheApiOutbound = "cache",
      globalOutbound = "backplane"))`
}
