import { standingCommand } from '../../operator/standing-command.ts'

export const unsuspend = standingCommand('good', {
  word: 'unsuspend',
  summary: 'End the suspension or the ban of an account',
  details:
    'Its agents come back with their files as far as the credits go. After a ban its people log in again; keys are made anew.',
})
