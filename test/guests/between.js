/// <reference types="@fastly/js-compute" />
// Called by a Worker, and calls it by a backend.
import { Backend } from 'fastly:backend'

addEventListener('fetch', (event) => event.respondWith(answer(event)))

async function answer({ request, client }) {
  const { pathname, host } = new URL(request.url)
  switch (pathname) {
    case '/facts':
      return Response.json([request.method, host, request.headers.get('x-from'), client.address, await request.text()])
    case '/echo':
      return new Response(request.body, { headers: { 'x-echo': 'yes' } })
    case '/health':
      return Response.json(['front', 'checked', 'plain'].map((name) => Backend.fromName(name).health()))
    case '/checked':
      return fetch('http://origin.test/', { backend: 'checked' }).catch(told)
    case '/fail':
      throw new Error('on purpose')
    default:
      return fetch(new Request(`http://front.localhost${pathname}`, request), { backend: 'front' }).catch(told)
  }
}

const told = (error) => new Response(`${error.name}: ${error.message}`, { status: 503 })
