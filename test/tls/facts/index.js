export default {
  fetch(request) {
    if (request.headers.get('upgrade') === 'websocket') {
      const { 0: client, 1: server } = new WebSocketPair()
      server.accept()
      server.addEventListener('message', ({ data }) => server.send(`echo ${data}`))
      return new Response(null, { status: 101, webSocket: client })
    }
    return Response.json({ url: request.url, cf: request.cf, visitor: request.headers.get('cf-visitor') })
  },
}
