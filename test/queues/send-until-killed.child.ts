/** Run by `queue-store.test.ts`: sends, and acknowledges half of what is told, until it is killed; prints what was acknowledged. */
import { printLine } from '#/stores/print-line.fixture.ts'
import { allRight, openQueueStage, text, worker } from './stage.ts'

const [folder, round] = process.argv.slice(2) as [string, string]
const stage = await openQueueStage(folder)

stage.consumers.reader = ({ messages }) => {
  for (const { body } of messages) printLine(`told ${Buffer.from(body).toString()}`)
  return allRight
}
await stage.set('kept')
await stage.set('read', { consumer: worker('reader') })

async function send(queue: string, sender: number): Promise<never> {
  for (let number = 0; ; number++) {
    const body = `${queue}/${round}/${sender}/${number}`
    await stage.calls.send(queue, [text(body), text(`${body}+`)])
    printLine(`sent ${body}`)
    printLine(`sent ${body}+`)
  }
}
await Promise.all(['kept', 'read'].flatMap((queue) => [0, 1, 2, 3].map((sender) => send(queue, sender))))
