/** `fastly_compute_runtime`: what a program used so far. */
import type { Hostcall, HostcallModule } from '../hostcall.ts'

const mebibyte = 1_048_576

/** Products of the service: there are none. */
const hasNot: Hostcall = (sandbox, out: number) => sandbox.memory.u32(out, 0)

export const computeRuntime: HostcallModule = {
  name: 'fastly_compute_runtime',
  calls: {
    get_vcpu_ms(sandbox, out: number) {
      sandbox.memory.u64(out, Math.floor(sandbox.cpuMs + performance.now() - sandbox.turnBegan))
    },
    get_heap_mib(sandbox, out: number) {
      let bytes = sandbox.memory.size
      for (const held of sandbox.handles.all())
        if ('heldBytes' in held && typeof held.heldBytes === 'number') bytes += held.heldBytes
      sandbox.memory.u32(out, Math.ceil(bytes / mebibyte))
    },
    has_domain_inspector: hasNot,
    has_image_optimizer: hasNot,
    has_origin_inspector: hasNot,
  },
}
