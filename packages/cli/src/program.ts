import type { Group } from './command.ts'
import { deploy } from './commands/deploy.ts'
import { login } from './commands/login.ts'
import { logout } from './commands/logout.ts'
import { whoami } from './commands/whoami.ts'
import { renderTopHelp } from './help.ts'

/** Every command, by the words that are typed. */
export const program: Group = {
  summary: 'Deploy AI agents from a folder to a machine of their own',
  commands: {
    login,
    logout,
    whoami,
    deploy,
  },
}

const chapters = {
  Start: ['login', 'logout', 'whoami', 'deploy'],
}

export const topHelp = (): string => renderTopHelp(program, chapters)
