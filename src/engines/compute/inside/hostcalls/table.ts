/** The whole ABI that programs may import, one module a file. `docs/compatibility.md` lists it from here. */
import type { HostcallModule } from '../hostcall.ts'
import { abi } from './abi.ts'
import { acl } from './acl.ts'
import { asyncIo } from './async-io.ts'
import { backend } from './backend.ts'
import { computeRuntime } from './compute-runtime.ts'
import { configStore, dictionary } from './config-store.ts'
import { coreCache } from './core-cache.ts'
import { deviceDetection } from './device-detection.ts'
import { erl } from './erl.ts'
import { geo } from './geo.ts'
import { httpBody } from './http-body.ts'
import { httpCache } from './http-cache.ts'
import { httpDownstream } from './http-downstream.ts'
import { httpReq } from './http-req.ts'
import { httpResp } from './http-resp.ts'
import { kvStore } from './kv-store.ts'
import { log } from './log.ts'
import { objectStore } from './object-store.ts'
import { purge } from './purge.ts'
import { secretStore } from './secret-store.ts'
import { imageOptimizer, shielding } from './shielding.ts'
import { wasi } from './wasi.ts'

export const hostcallModules: readonly HostcallModule[] = [
  abi,
  acl,
  asyncIo,
  backend,
  computeRuntime,
  configStore,
  coreCache,
  deviceDetection,
  dictionary,
  erl,
  geo,
  httpBody,
  httpCache,
  httpDownstream,
  httpReq,
  httpResp,
  imageOptimizer,
  kvStore,
  log,
  objectStore,
  purge,
  secretStore,
  shielding,
  wasi,
]
