/** What is given when the stored answer is stale: while revalidating, on errors, and what is never given. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gate, say, startDelivery } from './support/delivery.ts'
import { until } from './support/node.ts'

/** `Age` above `max-age`: stale as soon as it is stored, so that no test waits for time to pass. */
const stale = (more: string) => ({ 'cache-control': `max-age=10${more}`, age: '20', etag: '"v1"' })

test('stale answers', { timeout: 60_000 }, async (t) => {
  const site = await startDelivery(t)
  const { origin } = site
  const statusOf = async (path: string) => String((await site.get(path)).headers['cache-status'])

  await t.test('stale-while-revalidate answers at once and asks the origin once, behind', async () => {
    const slow = gate()
    origin.on('/swr', async (asked, answer, count) => {
      if (count === 1) return say(stale(', stale-while-revalidate=60'), 'old')(asked, answer, count)
      await slow.opened
      say({ 'cache-control': 'max-age=60' }, 'new')(asked, answer, count)
    })
    await site.get('/swr')
    const answers = await Promise.all(Array.from({ length: 20 }, () => site.get('/swr')))
    assert.deepEqual([...new Set(answers.map(({ text }) => text))], ['old'])
    assert.equal(answers.filter(({ headers }) => headers['cf-cache-status'] === 'UPDATING').length, 19)
    await until(() => origin.seen('/swr').length === 2, 'the background fetch')
    assert.equal(origin.seen('/swr')[1]!.headers['if-none-match'], '"v1"')
    slow.open()
    await until(async () => (await site.get('/swr')).text === 'new', 'the new version')
    assert.equal(origin.seen('/swr').length, 2)
  })

  await t.test('outside of its window it is revalidated first', async () => {
    origin.on('/late', (asked, answer, count) =>
      say(stale(', stale-while-revalidate=5'), `v${count}`)(asked, answer, count),
    )
    assert.deepEqual([(await site.get('/late')).text, (await site.get('/late')).text], ['v1', 'v2'])
  })

  await t.test('stale-if-error stands in for a 503 and for a reset', async () => {
    origin.on('/sie', (asked, answer, count) => {
      if (count === 1) say(stale(', stale-if-error=600'), 'good')(asked, answer, count)
      else if (count === 2) answer.writeHead(503, { 'cache-control': 'no-store' }).end('down')
      else asked.socket.destroy()
    })
    await site.get('/sie')
    for (const detail of ['origin-error', 'origin-down']) {
      const { status, text, headers } = await site.get('/sie')
      assert.deepEqual([status, text, headers['cf-cache-status']], [200, 'good', 'STALE'])
      assert.match(String(headers['cache-status']), new RegExp(`detail=${detail}$`))
    }
  })

  await t.test('a 503 without stale-if-error is passed on, and the stored answer kept', async () => {
    origin.on('/own', (asked, answer, count) => {
      if (count === 2) answer.writeHead(503).end('down')
      else say(stale(''), `v${count}`)(asked, answer, count)
    })
    await site.get('/own')
    assert.equal((await site.get('/own')).status, 503)
    await site.get('/own')
    assert.equal(origin.seen('/own')[2]!.headers['if-none-match'], '"v1"')
  })

  await t.test('must-revalidate, proxy-revalidate and no-cache forbid it even when the origin is gone', async () => {
    for (const directive of ['must-revalidate', 'proxy-revalidate', 'no-cache']) {
      const path = `/strict?${directive}`
      origin.on(path, (asked, answer, count) => {
        if (count === 1) say(stale(`, ${directive}, stale-if-error=600`), 'good')(asked, answer, count)
        else asked.socket.destroy()
      })
      await site.get(path)
      assert.equal((await site.get(path)).status, 502, directive)
    }
  })

  await t.test('an origin that is not there: what may be stale is, the rest is an error', async () => {
    origin.on('/there', say(stale(''), 'kept'))
    origin.on('/fresh', say({ 'cache-control': 'max-age=60' }, 'fresh'))
    await site.get('/there')
    await site.get('/fresh')
    await origin.stop()
    t.after(() => origin.stop())
    const { status, text } = await site.get('/there')
    assert.deepEqual([status, text], [200, 'kept'])
    assert.match(await statusOf('/fresh'), /^rimward; hit/)
    assert.equal((await site.get('/never')).status, 502)
    await origin.start()
    origin.on('/never', say({ 'cache-control': 'max-age=60' }, 'back'))
    assert.equal((await site.get('/never')).text, 'back')
  })
})
