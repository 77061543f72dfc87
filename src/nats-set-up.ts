/** What `rimward nats-config` needs of the fabric, without the rest of the platform. */
export { openNatsFabric } from '#/fabric/nats/fabric.ts'
export {
  createUserKey,
  leafConfiguration,
  type NatsPlan,
  nameOf,
  type PlannedServer,
  serverConfiguration,
  userOfSeed,
} from '#/fabric/nats/plan.ts'
