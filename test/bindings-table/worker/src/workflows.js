import { differs, equal, fails, refused, shaped, until, works } from './case.js'

const unique = (name) => `${name}-${crypto.randomUUID().slice(0, 8)}`
const start = (FLOW, how, more = {}) => FLOW.create({ id: unique(how), params: { how, ...more } })
const ended = (instance, status = 'complete') =>
  until(async () => {
    const told = await instance.status()
    if (told.status === status) return told
    if (['complete', 'errored', 'terminated'].includes(told.status)) throw new Error(JSON.stringify(told))
    return undefined
  })

export const workflows = [
  works(
    'Workflow: create get; WorkflowInstanceCreateOptions: id params; WorkflowInstance: id status; InstanceStatus: status output; CloudflareWorkersModule.WorkflowEntrypoint: run ctx env new; CloudflareWorkersModule.WorkflowEvent: payload timestamp instanceId workflowName',
    async ({ env: { FLOW } }) => {
      const instance = await start(FLOW, 'event')
      const { output } = await ended(await FLOW.get(instance.id))
      equal(output, {
        how: 'event',
        dated: true,
        instanceId: instance.id,
        workflowName: 'exerciser-flow',
        bound: true,
        waits: true,
      })
    },
  ),
  works('Workflow: createBatch deleteBatch; WorkflowBatchDeleteResult: deleted errors', async ({ env: { FLOW } }) => {
    const [a, b] = [unique('a'), unique('b')]
    const made = await FLOW.createBatch([{ id: a }, { id: b }])
    equal(
      made.map(({ id }) => id),
      [a, b],
    )
    for (const one of made) await ended(one)
    const { deleted, errors } = await FLOW.deleteBatch([a, b, 'nobody'])
    equal(deleted, [{ id: a }, { id: b }])
    equal(
      errors.map(({ id }) => id),
      ['nobody'],
    )
    shaped(errors[0], { code: 'number', message: 'string' })
  }),
  works(
    'InstanceStatus: error; WorkflowError: message; cloudflare:workflows.NonRetryableError: new',
    async ({ env: { FLOW } }) => {
      const { error } = await ended(await start(FLOW, 'fail'), 'errored')
      equal(error, { name: 'NonRetryableError', message: 'given up' })
    },
  ),
  works(
    'CloudflareWorkersModule.WorkflowStep: do; CloudflareWorkersModule.WorkflowStepConfig: retries timeout; CloudflareWorkersModule.WorkflowStepContext: step attempt config; CloudflareWorkersModule.WorkflowStepConfigWithStaticDelay: retries',
    async ({ env: { FLOW } }) => {
      const { output } = await ended(await start(FLOW, 'retried'))
      const config = { retries: { limit: 3, delay: 10, backoff: 'constant' }, timeout: 5000 }
      equal(output, { step: { name: 'tried', count: 1 }, attempt: 2, config })
    },
  ),
  works(
    'CloudflareWorkersModule.WorkflowStep: sleep sleepUntil waitForEvent; CloudflareWorkersModule.WorkflowStepEvent: payload timestamp type; WorkflowInstance: sendEvent',
    async ({ env: { FLOW } }) => {
      const instance = await start(FLOW, 'waits')
      await instance.sendEvent({ type: 'paid', payload: { amount: 3 } })
      equal((await ended(instance)).output, { type: 'paid', payload: { amount: 3 }, dated: true })
    },
  ),
  works(
    'WorkflowInstance: pause resume terminate restart delete; WorkflowInstanceRestartOptions: from',
    async ({ env: { FLOW } }) => {
      const instance = await start(FLOW, 'long')
      await ended(instance, 'waiting')
      await instance.pause()
      await ended(instance, 'paused')
      await instance.resume()
      await instance.sendEvent({ type: 'go', payload: null })
      const { output } = await ended(instance)
      await instance.restart({ from: { name: 'last' } })
      const again = await until(async () => {
        const told = await instance.status()
        return told.status === 'complete' && told.output.last !== output.last ? told : undefined
      })
      equal(again.output.first, output.first)
      await instance.restart()
      await ended(instance, 'waiting')
      await instance.terminate()
      await ended(instance, 'terminated')
      await instance.delete()
      await fails(() => FLOW.get(instance.id), /instance\.not_found/)
    },
  ),
]

workflows.push(
  works('WorkflowInstanceCreateOptions: retention', async ({ env: { FLOW } }) => {
    const options = { params: { how: 'event' }, retention: { successRetention: '1 hour', errorRetention: '2 days' } }
    await ended(await FLOW.create({ id: unique('kept'), ...options }))
    await fails(() => FLOW.create({ retention: { successRetention: 'for ever' } }), /retention/i)
  }),
  works('CloudflareWorkersModule.WorkflowStepConfig: sensitive', async ({ env: { FLOW } }) => {
    equal((await ended(await start(FLOW, 'sensitive'))).output, 'secret')
  }),
  works(
    'WorkflowBatchCreateOptions: count params retention instances; WorkflowBatchCreateResult: created errors',
    async ({ env: { FLOW } }) => {
      const counted = await FLOW.createBatch({
        count: 2,
        params: { how: 'event' },
        retention: { successRetention: 60_000 },
      })
      equal([counted.created.length, counted.errors], [2, []])
      for (const one of counted.created) equal((await ended(one)).output.how, 'event')
      const id = counted.created[0].id
      const { created, errors } = await FLOW.createBatch({ instances: [{ id }, { params: { how: 'event' } }] })
      equal(
        [created.length, errors.map((error) => [error.index, error.id, typeof error.code])],
        [1, [[0, id, 'number']]],
      )
      await fails(() => FLOW.createBatch({ count: 101 }), /invalid/)
    },
  ),
  works(
    'CloudflareWorkersModule.WorkflowDynamicDelayContext: ctx error; CloudflareWorkersModule.WorkflowStepConfigWithDelayFunction: retries',
    async ({ env: { FLOW } }) => {
      const { output } = await ended(await start(FLOW, 'dynamic'))
      equal([output.attempt, output.config.retries], [2, { limit: 2, backoff: 'constant' }])
    },
  ),
  differs(
    'WorkflowInstanceCreateOptions: locationHint; WorkflowBatchCreateOptions: locationHint',
    'has no effect: all instances of a workflow live at its home',
    async ({ env: { FLOW } }) => {
      await ended(await FLOW.create({ params: { how: 'event' }, locationHint: 'weur' }))
    },
  ),
  refused(
    'CloudflareWorkersModule.WorkflowStepRollbackOptions: rollback rollbackConfig; CloudflareWorkersModule.WorkflowRollbackContext: ctx error output stepName; WorkflowInstanceTerminateOptions: rollback',
    'the step fails, and `terminate` throws, with a message that says so',
    async ({ env: { FLOW } }) => {
      const { error } = await ended(await start(FLOW, 'rollback'), 'errored')
      equal(/rollback options, which are not supported/.test(error.message), true)
      const instance = await start(FLOW, 'long')
      await fails(() => instance.terminate({ rollback: true }), /not rolled back here/)
      await instance.terminate()
    },
  ),
  refused(
    'WorkflowInstance: subscribe; WorkflowInstanceSubscribeOptions: cursor filter; WorkflowInstanceSubscription: next; WorkflowInstanceEvent: *',
    'by name, at the call: ask `status()`',
    async ({ env: { FLOW } }) => {
      const instance = await start(FLOW, 'event')
      await fails(() => instance.subscribe({ cursor: 0 }), /subscribe\(\) is not supported/)
    },
  ),
  refused(
    'CloudflareWorkersModule.WorkflowEvent: schedule; CloudflareWorkersModule.WorkflowCronSchedule: cron scheduledTime',
    'begin an instance in `scheduled()`',
    async ({ env: { FLOW } }) => equal((await ended(await start(FLOW, 'scheduled'))).output, null),
  ),
  differs('WorkflowError: code', 'errors have their name instead', async ({ env: { FLOW } }) => {
    const { error } = await ended(await start(FLOW, 'fail'), 'errored')
    equal([error.code, error.name], [undefined, 'NonRetryableError'])
  }),
  differs(
    'CloudflareWorkersModule.WorkflowStepEvent: sensitive',
    'events are never marked',
    async ({ env: { FLOW } }) => {
      const instance = await start(FLOW, 'marked')
      await instance.sendEvent({ type: 'paid', payload: 1 })
      equal((await ended(instance)).output, null)
    },
  ),
)

/** What an instance does is in its params. */
export const flows = {
  async event(_step, event) {
    const { payload, timestamp, instanceId, workflowName } = event
    return { how: payload.how, dated: timestamp instanceof Date, instanceId, workflowName }
  },
  scheduled: async (_, { schedule }) => schedule ?? null,
  async marked(step) {
    return (await step.waitForEvent('marked', { type: 'paid' })).sensitive ?? null
  },
  fail: (step, _event, { NonRetryableError }) =>
    step.do('fail', async () => {
      throw new NonRetryableError('given up')
    }),
  retried(step) {
    const config = { retries: { limit: 3, delay: 10, backoff: 'constant' }, timeout: 5000 }
    return step.do('tried', config, async (context) => {
      if (context.attempt === 1) throw new Error('once')
      return context
    })
  },
  async waits(step) {
    await step.sleep('short', 10)
    await step.sleepUntil('until', new Date(Date.now() + 1500))
    const { type, payload, timestamp } = await step.waitForEvent('paid', { type: 'paid', timeout: '1 minute' })
    return { type, payload, dated: timestamp instanceof Date }
  },
  async long(step) {
    const first = await step.do('first', async () => crypto.randomUUID())
    await step.waitForEvent('go', { type: 'go', timeout: '1 hour' })
    return { first, last: await step.do('last', async () => crypto.randomUUID()) }
  },
  sensitive: (step) => step.do('quiet', { sensitive: 'output' }, async () => 'secret'),
  dynamic(step) {
    const delay = ({ ctx, error }) => (ctx.attempt === 1 && error.message === 'once' ? 5 : 60_000)
    return step.do('dynamic', { retries: { limit: 2, delay, backoff: 'constant' } }, async (context) => {
      if (context.attempt === 1) throw new Error('once')
      return context
    })
  },
  rollback: (step) => step.do('undone', async () => 1, { rollback: async () => {}, rollbackConfig: { timeout: 1000 } }),
}
