/** What the commands need of the fabric on NATS, without the rest of the platform. */
export { isTrial, type NatsServers, readJoin } from '#/fabric/nats/connect.ts'
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
