import { standingCommand } from '../../operator/standing-command.ts'

export const ban = standingCommand('banned', {
  word: 'ban',
  summary: 'Stop everything that an account runs, and let nobody log in to it',
  details:
    'Its sessions and keys end at once. Its phone and wallets make no new account for a year, also when this one is ' +
    'deleted. Snapshots go after the grace period. agentctl operator unsuspend takes it back.',
})
