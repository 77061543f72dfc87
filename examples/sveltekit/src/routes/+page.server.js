/** Each visit is counted in a key-value namespace; the page shows how many there were. */
export async function load({ platform }) {
  const visits = Number((await platform.env.VISITS.get('count')) ?? 0) + 1
  await platform.env.VISITS.put('count', String(visits))
  return { visits, country: platform.cf?.country ?? 'XX' }
}
