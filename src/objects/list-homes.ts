/** Where the objects of a namespace live, for whoever wants to say where they may. */
import type { CountryCode, NodeId } from '#/core/pops.ts'
import type { Entry, Fabric } from '#/core/ports.ts'

export interface HomeCount {
  readonly node: NodeId
  readonly country: CountryCode
  readonly objects: number
}

const page = 500

/** By node; of the one with this id, where it is named. Rejects with `fabric_away`: homes are never read from a copy. */
export async function listHomes(
  fabric: Pick<Fabric, 'bucket'>,
  key: string,
  id?: string,
): Promise<readonly HomeCount[]> {
  const bucket = fabric.bucket('object-homes')
  async function pageOf(after: string): Promise<readonly Entry[]> {
    if (id === undefined) return bucket.list({ prefix: `${key}/`, limit: page, ...(after !== '' && { after }) })
    const entry = await bucket.get(`${key}/${id}`)
    return entry === undefined ? [] : [entry]
  }
  const counts = new Map<NodeId, HomeCount>()
  for (let after = ''; ; ) {
    const entries = await pageOf(after)
    for (const { value } of entries) {
      const { node, country } = JSON.parse(Buffer.from(value).toString()) as Omit<HomeCount, 'objects'>
      counts.set(node, { node, country, objects: (counts.get(node)?.objects ?? 0) + 1 })
    }
    if (entries.length < page) return [...counts.values()]
    after = entries.at(-1)!.key
  }
}
