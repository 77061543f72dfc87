/** What the vendor's binding and API say no to, in their words. */

export type RefusalCode =
  | 'instance.not_found'
  | 'instance.already_exists'
  | 'instance.invalid_id'
  | 'instance.cannot_terminate'
  | 'instance.cannot_pause'
  | 'instance.cannot_resume'
  | 'instance.cannot_restart'
  | 'instance.cannot_send_event'
  | 'body'

export class WorkflowRefusal extends Error {
  readonly code: RefusalCode

  constructor(code: RefusalCode, message: string) {
    super(message)
    this.code = code
  }
}

export const notFound = () => new WorkflowRefusal('instance.not_found', 'Instance does not exist')
