/// <reference types="@fastly/js-compute" />
import { ConfigStore } from 'fastly:config-store'

addEventListener('fetch', (event) => event.respondWith(greet(event.request)))

async function greet(request) {
  const name = new URL(request.url).pathname.slice(1) || 'world'
  const words = new ConfigStore('words')
  console.log(`greets ${name}`)
  return new Response(`${words.get('greeting')}, ${name}\n`)
}
