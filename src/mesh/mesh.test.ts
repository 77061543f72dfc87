import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import { until } from './contract.fixture.ts'
import { meshContract } from './mesh.contract.ts'
import { createPlatform, fra, iad, nrt } from './nodes.fixture.ts'

meshContract('over HTTP/2', async (t) => {
  const platform = await createPlatform(t)
  const meshes = { fra: await platform.open(fra), iad: await platform.open(iad), nrt: await platform.open(nrt) }
  await until(() => Object.values(meshes).every((mesh) => mesh.peers().filter((peer) => peer.reachable).length === 2))
  return { ...meshes, cut: platform.ways.cut, heal: platform.ways.heal }
})

meshContract('in memory', async () => {
  const meshes = createMemoryMeshes()
  return { fra: meshes.join(fra), iad: meshes.join(iad), nrt: meshes.join(nrt), cut: meshes.cut, heal: meshes.heal }
})
