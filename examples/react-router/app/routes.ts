import { index, type RouteConfig, route } from '@react-router/dev/routes'

export default [index('routes/home.tsx'), route('said', 'routes/said.ts')] satisfies RouteConfig
