/**
 * Proofs of the compatibility page that need more than one request or one command.
 */
import { assetStories } from './asset-stories.ts'
import { commandStories } from './command-stories.ts'
import { computeStories } from './compute-stories.ts'
import { objectStories } from './object-stories.ts'
import { moduleStories, runtimeStories } from './runtime-stories.ts'
import type { Story } from './site.ts'

/** By the words that the rows name them with. */
export const stories: Record<string, Story> = {
  ...moduleStories,
  ...runtimeStories,
  ...objectStories,
  ...assetStories,
  ...commandStories,
  ...computeStories,
}
