/** The whole ABI that programs may import, one module a file. `docs/compatibility.md` lists it from here. */
import type { HostcallModule } from '../hostcall.ts'
import { abi } from './abi.ts'
import { acl } from './acl.ts'
import { asyncIo } from './async-io.ts'
import { backend } from './backend.ts'
import { computeRuntime } from './compute-runtime.ts'
import { configStore, dictionary } from './config-store.ts'
import { deviceDetection } from './device-detection.ts'
import { erl } from './erl.ts'
import { geo } from './geo.ts'
import { httpBody } from './http-body.ts'
import { httpDownstream } from './http-downstream.ts'
import { httpReq } from './http-req.ts'
import { httpResp } from './http-resp.ts'
import { kvStore } from './kv-store.ts'
import { log } from './log.ts'
import { objectStore } from './object-store.ts'
import { secretStore } from './secret-store.ts'
import { wasi } from './wasi.ts'

export const hostcallModules: readonly HostcallModule[] = [
  abi,
  acl,
  asyncIo,
  backend,
  computeRuntime,
  configStore,
  deviceDetection,
  dictionary,
  erl,
  geo,
  httpBody,
  httpDownstream,
  httpReq,
  httpResp,
  kvStore,
  log,
  objectStore,
  secretStore,
  wasi,
]
