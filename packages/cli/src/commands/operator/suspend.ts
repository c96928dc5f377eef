import { standingCommand } from '../../operator/standing-command.ts'

export const suspend = standingCommand('suspended', {
  word: 'suspend',
  summary: 'Stop everything that an account runs',
  details:
    'Its agents are stopped and their snapshots kept; nothing can be started. Its people are told why, and can go on ' +
    'logging in, exporting and deleting what they have.',
})
