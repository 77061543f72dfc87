addEventListener('fetch', (event) => {
  event.respondWith(new Response(`${GREETING} from a script\n`))
})
