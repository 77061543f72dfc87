import { openStage } from './engine-stage.ts'
import { workersContract } from './workers.contract.ts'

workersContract('in shared cells', () => openStage({ cells: 1, spareCells: 0 }))
