import type { AgentProxy } from './agent-proxy.ts'
import type { AgentUser } from './agent-user.ts'
import type { BlobCache } from './blob-cache.ts'
import type { LogShipper } from './log-shipper.ts'
import type { MachineLayout } from './machine-layout.ts'
import type { OwnLog } from './own-log.ts'
import type { ReportOutbox } from './report-outbox.ts'
import type { RunningRecord } from './running-record.ts'

/** The parts of the runner; a function takes those that it touches. */
export interface Machine {
  layout: MachineLayout
  user: AgentUser
  cache: BlobCache
  logs: LogShipper
  reports: ReportOutbox
  record: RunningRecord
  proxy: AgentProxy
  log: OwnLog
}
