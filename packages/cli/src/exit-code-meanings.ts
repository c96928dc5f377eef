import type { ExitCode } from '@agentctl/contract/problems.ts'

export const exitCodeMeanings: Record<ExitCode, string> = {
  0: 'done',
  1: 'failed, or a conflict',
  2: 'wrong usage or invalid input',
  3: '--dry-run only: there is something to do',
  4: 'not logged in, or not allowed',
  5: 'not enough credits, or a limit was reached',
  6: 'not found',
  7: 'trouble with the service or network, or a rate limit: try again',
  8: 'still in progress when the wait ended',
  130: 'interrupted',
}
