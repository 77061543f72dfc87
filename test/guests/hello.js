/// <reference types="@fastly/js-compute" />
// Makes some garbage for each request, as programs do.
addEventListener('fetch', (event) => event.respondWith(answer(event.request)))

async function answer(request) {
  const { pathname } = new URL(request.url)
  const parts = Array.from({ length: 2000 }, (_, index) => ({ index, text: `${pathname} ${index}` }))
  const headers = new Headers({ 'content-type': 'application/json', 'x-count': String(parts.length) })
  return new Response(JSON.stringify(parts.slice(-1)), { headers })
}
