/** What went wrong, as S3 says it. */
import { type BucketTrouble, bucketTroubles, isTroubled, type Troubled } from '#/core/buckets.ts'
import { EdgeError } from '#/core/errors.ts'

/** Thrown by operations; the handler writes it as XML. */
export class S3Error extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.name = 'S3Error'
    this.status = status
    this.code = code
  }
}

export const notImplemented = (what: string) => new S3Error(501, 'NotImplemented', `${what} not implemented`)
export const invalid = (message: string) => new S3Error(400, 'InvalidArgument', message)

export function ofTrouble(trouble: BucketTrouble, detail?: string): S3Error {
  const [status, , code, sentence] = bucketTroubles[trouble]
  return new S3Error(status, code, detail ?? sentence)
}

/** The answer itself, or its trouble thrown. */
export function untroubled<Answer extends object>(answer: Answer | Troubled): Answer {
  if (isTroubled(answer)) throw ofTrouble(answer.trouble, answer.detail)
  return answer
}

/** `undefined` for a bug. */
export function toS3Error(thrown: unknown): S3Error | undefined {
  if (thrown instanceof S3Error) return thrown
  if (!(thrown instanceof EdgeError) || thrown.code === 'internal') return undefined
  if (thrown.code === 'store_unknown') return ofTrouble('no_bucket')
  return new S3Error(thrown.row.status, 'ServiceUnavailable', thrown.message)
}
