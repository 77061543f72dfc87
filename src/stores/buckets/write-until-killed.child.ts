/** Run by `crash.test.ts`: puts objects for ever and prints a line for each acknowledged one, until it is killed. */
import { bucketAt } from '#/core/bucket-calls.ts'
import { isTroubled } from '#/core/buckets.ts'
import { defaultLimits } from '#/core/limits.ts'
import { printLine } from '../print-line.fixture.ts'
import { openBuckets } from './open-buckets.ts'

const [folder, round] = process.argv.slice(2) as [string, string]
const limits = { ...defaultLimits, bucketPartBytes: 1000 }
const buckets = await openBuckets({ folder, limits, clock: Date.now, log: () => {} })
const bucket = bucketAt({ call: (call) => buckets.handler(call) }, 'crash')

function held<Answer extends object>(answer: Answer): Exclude<Answer, { trouble: unknown }> {
  if (isTroubled(answer)) throw new Error(answer.trouble)
  return answer as Exclude<Answer, { trouble: unknown }>
}

/** The same keys over and over, small and large in turn, so that bodies are replaced as well. */
async function put(writer: number): Promise<never> {
  for (let i = 0; ; i++) {
    const key = `${writer}/${i % 7}`
    const body = Buffer.alloc(i % 3 === 0 ? 90_000 + i : 100 + i, `${round} ${writer} ${i} `)
    const { object } = held(await bucket.put({ key, bytes: body.length }, body))
    printLine(`put ${key} ${round} ${i} ${object.etag}`)
    if (i % 5 === 4) {
      await bucket.delete([`${writer}/${i % 7}`])
      printLine(`delete ${key} ${round} ${i} -`)
    }
  }
}

async function upload(writer: number): Promise<never> {
  for (let i = 0; ; i++) {
    const key = `parts-${writer}/${i % 3}`
    const { uploadId } = held(await bucket.createUpload({ key }))
    const parts = []
    for (const number of [1, 2, 3]) {
      const body = Buffer.alloc(5000, `${round} ${i} ${number} `)
      parts.push({ number, ...held(await bucket.putPart({ key, uploadId, number, bytes: body.length }, body)) })
    }
    const { object } = held(await bucket.completeUpload(key, uploadId, parts))
    printLine(`put ${key} ${round} ${i} ${object.etag}`)
  }
}

await Promise.all([...[0, 1, 2, 3].map(put), ...[0, 1].map(upload)])
