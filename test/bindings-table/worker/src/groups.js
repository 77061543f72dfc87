import { d1 } from './d1.js'
import { kv } from './kv.js'
import { objects } from './objects.js'
import { programs } from './programs.js'
import { queues } from './queues.js'
import { r2 } from './r2.js'
import { runtime } from './runtime.js'
import { traces } from './traces.js'
import { workflows } from './workflows.js'

/** Cases by the path at which the Worker runs them. */
export const groups = { kv, d1, r2, queues, workflows, objects, programs, runtime, traces }
