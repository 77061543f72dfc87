export default {
  async fetch(request) {
    return new Response(`Hello from ${new URL(request.url).pathname}\n`)
  },
}
