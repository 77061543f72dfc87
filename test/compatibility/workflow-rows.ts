/** Rows of Workflows: the binding's methods, what a step may be, wrangler's commands. */
import type { Proof, Row } from './rows.ts'

const story = (title: string): Proof => ({ file: 'workflows.test.ts', title })
const works = (feature: string, title: string): Row => ({ feature, state: 'works', proof: story(title) })

const changed = 'instances are paused, resumed, terminated, begun again and deleted'
const said = 'what a step may not be or give is said in words'

export const workflowBinding: readonly Row[] = [
  works(
    'Workflows: `create`, `get`, `status`, `run(event, step)`',
    'an instance is made, runs its steps and tells what they gave',
  ),
  works(
    'Workflows: `step.do` with `retries`, `timeout`, `NonRetryableError`, `createBatch`',
    'steps are tried again, and what they throw is told',
  ),
  works('Workflows: `step.sleep`, `step.sleepUntil`', 'a long sleep ends the run, and the next one goes on behind it'),
  works('Workflows: `step.waitForEvent`, `sendEvent`', 'events are waited for, kept until then, or come too late'),
  works('Workflows: `pause`, `resume`, `terminate`, `restart`, `delete`, `deleteBatch`', changed),
  works('Workflows: steps that are done outlive the node', 'a node that is killed goes on where its instances were'),
  {
    feature: 'Workflows: `schedules`, `event.schedule`, entries of `exports`',
    state: 'works',
    proof: { file: 'cron.test.ts', title: 'a schedule of a workflow makes an instance, which is told of it' },
  },
  works(
    'Workflows: `limits`, `concurrency`, `default_retention`, `jurisdiction`, `script_name`; the class must be there',
    'a binding, and what is set for a workflow, must fit what is there',
  ),
  works(
    'Workflows: instances of a program that is deleted',
    'instances rest while their program is not deployed, and go on when it is',
  ),
  {
    feature: 'Workflows: results of steps',
    state: 'works differently',
    note: 'what the structured clone algorithm copies, up to 1 MiB; a `ReadableStream` is refused',
    proof: story(said),
  },
  {
    feature: 'Workflows: `rollback` of steps and in `terminate`',
    state: 'refused',
    note: 'the step fails, and `terminate` throws, with a message that says so',
    proof: story(said),
  },
]

export const workflowCommands: readonly Row[] = [
  works(
    '`workflows list`, `describe`, `trigger`, `instances list`, `describe`, `pause`, `resume`, `send-event`, `restart`, `terminate`, `delete`',
    'wrangler lists, describes, triggers and changes',
  ),
  works('`workflows delete`', 'a workflow that is deleted leaves nothing behind'),
]
