/** The half of the mesh's contract that is about tunnels. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { finished } from 'node:stream/promises'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import { counted, MiB, type OpenMeshes } from './contract.fixture.ts'

/** As `text` does, but leaves a tunnel's other direction open. */
async function heard(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  stream.on('data', (chunk) => chunks.push(chunk))
  await once(stream, 'end')
  return Buffer.concat(chunks).toString()
}

export function tunnelContract(open: OpenMeshes): void {
  test('a tunnel carries bytes both ways, exactly, and says who opened it', async (t) => {
    const { fra, iad } = await open(t)
    let opened: unknown
    iad.serveTunnel('echo', ({ head, from }, stream) => {
      opened = { head, from: from.node }
      stream.pipe(stream)
    })
    const tunnel = await fra.tunnel('iad', 'echo', { room: 7 })
    const sent = randomBytes(3 * MiB)
    const received = buffer(tunnel)
    for (let at = 0; at < sent.length; at += 50_001) tunnel.write(sent.subarray(at, at + 50_001))
    tunnel.end()
    assert.deepEqual(await received, sent)
    assert.deepEqual(opened, { head: { room: 7 }, from: 'fra' })
  })

  test('the answerer may speak first, and small messages are not held back', async (t) => {
    const { fra, iad } = await open(t)
    iad.serveTunnel('first', (_, stream) => {
      stream.write('welcome')
      stream.on('data', (chunk: Buffer) => stream.write(`<${chunk}>`))
    })
    const tunnel = await fra.tunnel('iad', 'first')
    const hear = async () => String((await once(tunnel, 'data'))[0])
    assert.equal(await hear(), 'welcome')
    for (const word of ['one', 'two', 'three']) {
      const answered = hear()
      tunnel.write(word)
      assert.equal(await answered, `<${word}>`)
    }
    tunnel.destroy()
  })

  test('each direction ends by itself', async (t) => {
    const { fra, iad } = await open(t)
    const atIad = Promise.withResolvers<string>()
    iad.serveTunnel('halves', async (_, stream) => {
      heard(stream).then((words) => {
        atIad.resolve(words)
        stream.end(`heard ${words}`)
      }, atIad.reject)
    })
    const tunnel = await fra.tunnel('iad', 'halves')
    tunnel.end('all I say')
    assert.equal(await heard(tunnel), 'heard all I say')
    assert.equal(await atIad.promise, 'all I say')

    iad.serveTunnel('other half', (_, stream) => {
      stream.end('done talking')
      heard(stream).then(atSecond.resolve, atSecond.reject)
    })
    const atSecond = Promise.withResolvers<string>()
    const second = await fra.tunnel('iad', 'other half')
    assert.equal(await heard(second), 'done talking')
    second.write('still ')
    second.end('talking')
    assert.equal(await atSecond.promise, 'still talking')
  })

  test('a tunnel that one side destroys fails at the other, from both sides, with and without a reason', async (t) => {
    const { fra, iad } = await open(t)
    let atIad = Promise.withResolvers<Readable>()
    iad.serveTunnel('fragile', (_, stream) => atIad.resolve(stream))
    for (const reason of [undefined, new Error('a reason')]) {
      for (const side of ['here', 'there']) {
        atIad = Promise.withResolvers()
        const here = await fra.tunnel('iad', 'fragile')
        const there = await atIad.promise
        here.on('error', () => {})
        there.on('error', () => {})
        const [breaks, hears] = side === 'here' ? [here, there] : [there, here]
        const end = finished(hears.resume())
        breaks.destroy(reason)
        await assert.rejects(end, { name: 'EdgeError' })
      }
    }
  })

  test('a tunnel that is refused rejects with what was thrown', async (t) => {
    const { fra, iad } = await open(t)
    iad.serveTunnel('closed', async () => {
      throw new EdgeError('overloaded', 'No more rooms.')
    })
    await assert.rejects(fra.tunnel('iad', 'closed'), { code: 'overloaded', message: 'No more rooms.' })
  })

  test('who does not read a tunnel holds its writer back', async (t) => {
    const { fra, iad } = await open(t)
    iad.serveTunnel('unread', () => {})
    const tunnel = await fra.tunnel('iad', 'unread')
    const source = counted(64 * MiB)
    source.stream.pipe(tunnel)
    iad.serve('quick', async () => ({}))
    for (let i = 0; i < 50; i++) (await fra.ask('iad', 'quick')).body.resume()
    assert.ok(source.given() < 8 * MiB, `${source.given()} bytes were given to who reads none`)
    tunnel.destroy()
  })
}
