import { json } from '@sveltejs/kit'

export const POST = async ({ request }) => json({ said: await request.text() })
