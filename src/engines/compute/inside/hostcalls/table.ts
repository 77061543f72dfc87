/** The whole ABI that programs may import, one module a file. `docs/compatibility.md` lists it from here. */
import type { HostcallModule } from '../hostcall.ts'
import { abi } from './abi.ts'
import { asyncIo } from './async-io.ts'
import { backend } from './backend.ts'
import { coreCache } from './core-cache.ts'
import { httpBody } from './http-body.ts'
import { httpCache } from './http-cache.ts'
import { httpDownstream } from './http-downstream.ts'
import { httpReq } from './http-req.ts'
import { httpResp } from './http-resp.ts'
import { purge } from './purge.ts'
import { imageOptimizer, shielding } from './shielding.ts'
import { wasi } from './wasi.ts'

export const hostcallModules: readonly HostcallModule[] = [
  abi,
  httpReq,
  httpResp,
  httpBody,
  httpDownstream,
  asyncIo,
  backend,
  coreCache,
  httpCache,
  purge,
  shielding,
  imageOptimizer,
  wasi,
]
