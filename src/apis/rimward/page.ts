/** The page at `/`: state of the node for a person with a browser. Plain HTML, style and script, no framework. */
import { createHash } from 'node:crypto'
import { Hono } from 'hono'

const style = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884; vertical-align: top }
form { display: flex; gap: .5rem; flex-wrap: wrap } input { font: inherit; padding: .3rem .5rem; flex: 1 }
button { font: inherit; padding: .3rem .8rem } .bad { color: #c33 } code { font-size: .9em }
`

const script = `
const byId = (id) => document.getElementById(id)
const cell = (row, text, link) => {
  const td = row.appendChild(document.createElement('td'))
  const inside = link ? td.appendChild(document.createElement('a')) : td
  if (link) inside.href = link
  inside.textContent = text
}
const fill = (id, rows) => {
  const body = byId(id)
  body.replaceChildren()
  for (const cells of rows) {
    const row = body.appendChild(document.createElement('tr'))
    for (const [text, link] of cells) cell(row, text, link)
  }
}
const ask = async (path, token) => {
  const answer = await fetch(path, token ? { headers: { authorization: 'Bearer ' + token } } : {})
  if (!answer.ok) throw new Error(answer.status === 401 ? 'That token is not right.' : path + ' answered ' + answer.status)
  return answer.json()
}
const target = (site) => site.target.program ? 'program ' + site.target.program : site.target.url ?? site.target.location
async function show() {
  const health = await ask('/healthz')
  byId('health').textContent = 'Rimward ' + health.version + ', PoP ' + health.pop + ', up ' + health.uptimeSeconds + ' s'
  const token = sessionStorage.getItem('token')
  byId('inside').hidden = !token
  byId('enter').hidden = Boolean(token)
  if (!token) return
  const [status, programs, sites, pops] = await Promise.all(
    ['status', 'programs', 'sites', 'pops'].map((name) => ask('/rimward/v1/' + name, token)))
  const port = new URL(status.addresses.http).port
  const open = (host) => 'http://' + host + (port ? ':' + port : '') + '/'
  fill('state', [
    ...Object.entries(status.addresses).map(([name, url]) => [[name], [url]]),
    [['account'], [status.accountId]],
    ...status.checks.map((check) => [[check.name], [check.ready ? 'ready' : check.reason ?? 'not ready']]),
  ])
  fill('pops', pops.pops.map((pop) => [
    [pop.pop + ' (' + pop.country + ')', pop.http],
    [pop.node],
    [pop.state + (pop.lag ? ', ' + pop.lag + ' behind' : '') + (pop.failure ? ': ' + pop.failure : '')],
    [String(pop.revision)],
    [String(pop.requestsPerSecond)],
    [String(pop.errors)],
  ]))
  fill('programs', programs.programs.map((program) => [
    [program.name, open(program.name + '.localhost')],
    [program.versions.map((one) => 'v' + one.number + (one.percent < 100 ? ' ' + one.percent + ' %' : '')).join(', ') || 'not deployed'],
    [program.bindings.map((one) => one.name).join(', ')],
    [program.hosts.join(', ')],
  ]))
  fill('sites', sites.sites.map((site) => [[site.name], [site.hostnames.concat(site.routes).join(', ')], [target(site)]]))
}
const attempt = () => show().then(() => { byId('trouble').textContent = '' }, (error) => {
  if (/token/.test(error.message)) { sessionStorage.removeItem('token'); byId('inside').hidden = true; byId('enter').hidden = false }
  byId('trouble').textContent = error.message
})
byId('enter').addEventListener('submit', (event) => {
  event.preventDefault()
  sessionStorage.setItem('token', byId('token').value.trim())
  byId('token').value = ''
  attempt()
})
byId('leave').addEventListener('click', () => { sessionStorage.removeItem('token'); attempt() })
attempt()
setInterval(attempt, 5000)
`

const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Rimward</title><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><style>${style}</style></head>
<body><h1>Rimward</h1><p id="health">…</p><p id="trouble" class="bad" role="alert"></p>
<form id="enter" hidden><label for="token">Token (<code>D/token</code> on the node)</label>
<input id="token" type="password" autocomplete="off" required><button>Show</button></form>
<main id="inside" hidden>
<h2>Node</h2><table><tbody id="state"></tbody></table>
<h2>Points of presence</h2><table><thead><tr><th>PoP<th>Node<th>State<th>Serves revision<th>Requests/s<th>Errors</tr></thead><tbody id="pops"></tbody></table>
<h2>Programs</h2><table><thead><tr><th>Name<th>Serving<th>Bindings<th>Answers at</tr></thead><tbody id="programs"></tbody></table>
<h2>Sites</h2><table><thead><tr><th>Name<th>Hosts and routes<th>Goes to</tr></thead><tbody id="sites"></tbody></table>
<p><button id="leave">Forget the token</button></p></main>
<p><a href="/metrics">/metrics</a> · <a href="/healthz">/healthz</a> · <a href="/readyz">/readyz</a></p>
<script>${script}</script></body></html>
`

const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
const policy = `default-src 'none'; connect-src 'self'; img-src data:; script-src ${hash(script)}; style-src ${hash(style)}; form-action 'none'; frame-ancestors 'none'; base-uri 'none'`

/** `GET /`: shows what `/healthz` says; the rest after the token was entered, which stays in this tab's sessionStorage. */
export function pageRoutes(): Hono {
  const app = new Hono()
  app.get('/', (c) =>
    c.html(html, 200, {
      'content-security-policy': policy,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    }),
  )
  return app
}
