/// <reference types="@fastly/js-compute" />
import { setReusableSandboxOptions } from 'fastly:experimental'

setReusableSandboxOptions({ maxRequests: 4, betweenRequestTimeoutMs: 2_000 })

let seen = 0
addEventListener('fetch', (event) => event.respondWith(answer(event)))

async function answer({ request, client }) {
  seen++
  const { pathname } = new URL(request.url)
  if (pathname === '/loop') for (;;);
  if (pathname === '/throw') throw new Error('no')
  return Response.json({ seen, pathname, address: client.address, body: await request.text() })
}
