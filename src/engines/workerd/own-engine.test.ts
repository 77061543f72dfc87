import { openStage } from './engine-stage.ts'
import { openOwnEngine } from './own-engine.ts'
import { workersContract } from './workers.contract.ts'

// With no shared cell and a stall limit below nought, every program needs a cell of its own.
workersContract('in cells of their own', () =>
  openStage({ cells: 0, spareCells: 0, cellStallMs: -1 }, { ownCells: openOwnEngine }),
)
