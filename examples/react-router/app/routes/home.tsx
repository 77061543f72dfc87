import { useLoaderData } from 'react-router'

export const loader = ({ request }: { request: Request }) => ({
  name: new URL(request.url).searchParams.get('name') ?? 'world',
})

export default function Home() {
  const { name } = useLoaderData<typeof loader>()
  return <h1>Hello {name}</h1>
}
