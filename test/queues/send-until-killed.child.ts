/** Run by `queue-store.test.ts`: sends, and acknowledges half of what is told, until it is killed; prints what was acknowledged. */
import { writeSync } from 'node:fs'
import { allRight, openQueueStage, text, worker } from './stage.ts'

const [folder, round] = process.argv.slice(2) as [string, string]
const stage = await openQueueStage(folder)

/** Waits while the pipe is full: a slow reader must not end the writer. */
function say(line: string): void {
  for (;;) {
    try {
      writeSync(1, `${line}\n`)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
  }
}

stage.consumers.reader = ({ messages }) => {
  for (const { body } of messages) say(`told ${Buffer.from(body).toString()}`)
  return allRight
}
await stage.set('kept')
await stage.set('read', { consumer: worker('reader') })

async function send(queue: string, sender: number): Promise<never> {
  for (let number = 0; ; number++) {
    const body = `${queue}/${round}/${sender}/${number}`
    await stage.calls.send(queue, [text(body), text(`${body}+`)])
    say(`sent ${body}`)
    say(`sent ${body}+`)
  }
}
await Promise.all(['kept', 'read'].flatMap((queue) => [0, 1, 2, 3].map((sender) => send(queue, sender))))
