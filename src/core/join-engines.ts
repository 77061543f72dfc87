/** Several engines as one: each deployment goes to the one that runs its kind of code. */
import type { Engine } from './ports.ts'
import type { Deployment } from './snapshot.ts'

export function joinEngines(workers: Engine, compute: Engine): Engine {
  const engineOf = (deployment: Deployment) => (deployment.compute === undefined ? workers : compute)
  return {
    prove: (program, deployment) => engineOf(deployment).prove(program, deployment),
    async adopt(snapshot) {
      await Promise.all([workers.adopt(snapshot), compute.adopt(snapshot)])
    },
    run: (program, deployment, request) => engineOf(deployment).run(program, deployment, request),
    deliver: (program, deployment, event) => engineOf(deployment).deliver(program, deployment, event),
    warm: (program, deployment) => engineOf(deployment).warm(program, deployment),
    async forget(objects) {
      await Promise.all([workers.forget(objects), compute.forget(objects)])
    },
    async close() {
      await Promise.all([workers.close(), compute.close()])
    },
  }
}
