import type { RightsRequest } from '@agentctl/contract/operators.ts'

export const stateOf = ({ isOverdue, outcome, dueAt }: RightsRequest): string =>
  outcome ?? `${isOverdue ? 'OVERDUE since' : 'due by'} ${dueAt.slice(0, 10)}`

export const describeRequest = (request: RightsRequest): string =>
  `${request.id}: ${request.kind}, by ${request.cameBy}, ${stateOf(request)}`
