export const action = async ({ request }: { request: Request }) => Response.json({ said: await request.text() })
