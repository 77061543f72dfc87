// What AssemblyScript programs do: the vendor's SDK has requests, dictionaries and log endpoints.
import { Request, Response, Fastly } from '@fastly/as-compute'

function main(req: Request): Response {
  const path = req.url
  if (path.endsWith('/dictionary')) {
    const colours = new Fastly.Dictionary('colours')
    const sky = colours.get('sky')
    return text(sky ? sky : 'none')
  }
  if (path.endsWith('/log')) {
    Fastly.getLogEndpoint('collector').log('from AssemblyScript')
    console.log('to standard output')
    return text('logged')
  }
  const service = process.env.get('FASTLY_SERVICE_ID')
  return text(req.method + ' ' + service)
}

function text(body: string): Response {
  return new Response(String.UTF8.encode(body), { status: 200, headers: null, url: null })
}

const request = Fastly.getClientRequest()
Fastly.respondWith(main(request))
