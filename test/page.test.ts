// needs: chromium
/** The page at `/` of the control address, in a real browser driven over its debugging protocol. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startCli } from '#/cli/run-cli.fixture.ts'

interface Browser {
  /** Runs an expression in the page until its value is truthy. */
  until(expression: string): Promise<unknown>
  evaluate(expression: string): Promise<unknown>
}

/** Opens the page in headless Chromium and waits until its debugger listens. */
async function openPage(context: { after(run: () => Promise<void> | void): void }, url: string): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'rimward-page-'))
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--remote-debugging-port=0',
  ]
  const child = spawn('chromium', [...flags, `--user-data-dir=${profile}`, url], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  context.after(async () => {
    process.kill(-child.pid!, 'SIGKILL')
    await ended
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  })
  const port = await new Promise<string>((resolve, reject) => {
    let text = ''
    child.stderr.on('data', (chunk) => {
      text += chunk
      const match = /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)/.exec(text)
      if (match) resolve(match[1]!)
    })
    ended.then(() => reject(new Error(`chromium ended: ${text}`)))
  })
  const pages = async () =>
    (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as { type: string; webSocketDebuggerUrl: string }[]
  let page = (await pages()).find((one) => one.type === 'page')
  while (!page) page = (await pages()).find((one) => one.type === 'page')
  return connectTo(page.webSocketDebuggerUrl)
}

async function connectTo(address: string): Promise<Browser> {
  const socket = new WebSocket(address)
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }))
  let last = 0
  const evaluate = (expression: string): Promise<unknown> => {
    last += 1
    const id = last
    return new Promise((resolve) => {
      const listener = ({ data }: MessageEvent): void => {
        const message = JSON.parse(String(data)) as { id?: number; result?: { result?: { value?: unknown } } }
        if (message.id !== id) return
        socket.removeEventListener('message', listener)
        resolve(message.result?.result?.value)
      }
      socket.addEventListener('message', listener)
      socket.send(JSON.stringify({ id, method: 'Runtime.evaluate', params: { expression, awaitPromise: true } }))
    })
  }
  const until = async (expression: string): Promise<unknown> => {
    for (;;) {
      const value = await evaluate(expression)
      if (value) return value
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  return { evaluate, until }
}

test('the page says how the node is, and more once the token is entered', { timeout: 60_000 }, async (t) => {
  const data = mkdtempSync(join(tmpdir(), 'rimward-page-node-'))
  const args = ['up', '--data', data, '--json', '--http', '127.0.0.1:0', '--api', '127.0.0.1:0']
  const node = startCli(args, { env: { RIMWARD_TOKEN: 'page-token' } })
  t.after(async () => {
    node.child.kill('SIGTERM')
    await node.done
    rmSync(data, { recursive: true, force: true })
  })
  const { addresses } = JSON.parse((await node.until('rimward ready')).split('\n')[0]!)
  const page = await openPage(t, `${addresses.api}/`)
  assert.match(
    String(await page.until(`/PoP local/.test(document.body.innerText) && document.body.innerText`)),
    /Rimward \d/,
  )
  const enter = (token: string): string =>
    `document.getElementById('token').value = '${token}', document.querySelector('form button').click(), 1`
  await page.until(`!document.getElementById('enter').hidden`)
  await page.evaluate(enter('wrong'))
  await page.until(`/That token is not right/.test(document.body.innerText)`)
  await page.evaluate(enter('page-token'))
  const text = await page.until(
    `!document.getElementById('inside').hidden && document.getElementById('state').innerText`,
  )
  assert.ok(String(text).includes(addresses.http))
  assert.equal(await page.evaluate(`document.getElementById('enter').hidden`), true)
  await page.evaluate(`document.getElementById('leave').click()`)
  await page.until(`document.getElementById('inside').hidden && !sessionStorage.getItem('token')`)
})
