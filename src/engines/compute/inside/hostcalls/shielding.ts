/** `fastly_shielding` and `fastly_image_optimizer`: neither is here, and programs hear so as they would of unknown names. */
import type { HostcallModule } from '../hostcall.ts'
import { refuse, status } from '../status.ts'

export const shielding: HostcallModule = {
  name: 'fastly_shielding',
  calls: {
    shield_info(sandbox, name: number, length: number) {
      sandbox.memory.text(name, length)
      refuse(status.invalidArgument, 'there is no shield of this name')
    },
    backend_for_shield: () => refuse(status.invalidArgument, 'there is no shield of this name'),
  },
}

export const imageOptimizer: HostcallModule = {
  name: 'fastly_image_optimizer',
  calls: {
    transform_image_optimizer_request: () => refuse(status.unsupported, 'images are not transformed'),
  },
}
