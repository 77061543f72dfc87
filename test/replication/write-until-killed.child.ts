/** Run by `replicas.test.ts`: writes for ever and prints the key of each acknowledged write, until it is killed. */
import { createReplicaNodes } from '../support/replica-nodes.ts'

const [folder, round] = process.argv.slice(2) as [string, string]
const node = await createReplicaNodes({ after: () => {} }).open('fra', 'DE', { folder })
const bucket = node.replicas.bucket('b')

async function writeForEver(writer: number): Promise<never> {
  for (let i = 0; ; i++) {
    const key = `${round}/${writer}/${i}`
    await bucket.put(key, Buffer.from(key))
    if (!process.stdout.write(`${key}\n`)) await new Promise((resolve) => process.stdout.once('drain', resolve))
  }
}

await Promise.all(Array.from({ length: 8 }, (_, writer) => writeForEver(writer)))
