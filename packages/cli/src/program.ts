import type { Group } from './command.ts'
import { remove as deleteAccount } from './commands/account/delete.ts'
import { exportAccount } from './commands/account/export.ts'
import { receipt } from './commands/account/receipt.ts'
import { list as listSessions } from './commands/account/sessions/list.ts'
import { revoke as revokeSession } from './commands/account/sessions/revoke.ts'
import { show as showAccount } from './commands/account/show.ts'
import { update as updateAccount } from './commands/account/update.ts'
import { remove as removeWebhook } from './commands/account/webhook/remove.ts'
import { set as setWebhook } from './commands/account/webhook/set.ts'
import { show as showWebhook } from './commands/account/webhook/show.ts'
import { test as testWebhook } from './commands/account/webhook/test.ts'
import { remove as deleteAgent } from './commands/agents/delete.ts'
import { exportAgent } from './commands/agents/export.ts'
import { importAgent } from './commands/agents/import.ts'
import { list as listAgents } from './commands/agents/list.ts'
import { logs } from './commands/agents/logs.ts'
import { open } from './commands/agents/open.ts'
import { releases } from './commands/agents/releases.ts'
import { restart } from './commands/agents/restart.ts'
import { rollback } from './commands/agents/rollback.ts'
import { show as showAgent } from './commands/agents/show.ts'
import { start } from './commands/agents/start.ts'
import { stop } from './commands/agents/stop.ts'
import { balance } from './commands/billing/balance.ts'
import { deposit } from './commands/billing/deposit.ts'
import { history } from './commands/billing/history.ts'
import { limits } from './commands/billing/limits.ts'
import { prices } from './commands/billing/prices.ts'
import { usage } from './commands/billing/usage.ts'
import { verify } from './commands/billing/verify.ts'
import { commandsOf } from './commands/commands.ts'
import { completionOf } from './commands/completion.ts'
import { deploy } from './commands/deploy.ts'
import { doctor } from './commands/doctor.ts'
import { add as addDomain } from './commands/domains/add.ts'
import { check as checkDomain } from './commands/domains/check.ts'
import { list as listDomains } from './commands/domains/list.ts'
import { remove as removeDomain } from './commands/domains/remove.ts'
import { wait as waitForDomain } from './commands/domains/wait.ts'
import { init } from './commands/init.ts'
import { create as createKey } from './commands/keys/create.ts'
import { list as listKeys } from './commands/keys/list.ts'
import { revoke as revokeKey } from './commands/keys/revoke.ts'
import { rotate as rotateKey } from './commands/keys/rotate.ts'
import { login } from './commands/login.ts'
import { logout } from './commands/logout.ts'
import { add as addMember } from './commands/members/add.ts'
import { join } from './commands/members/join.ts'
import { list as listMembers } from './commands/members/list.ts'
import { remove as removeMember } from './commands/members/remove.ts'
import { setRole } from './commands/members/set-role.ts'
import { create as createNamespace } from './commands/namespaces/create.ts'
import { remove as deleteNamespace } from './commands/namespaces/delete.ts'
import { list as listNamespaces } from './commands/namespaces/list.ts'
import { rename } from './commands/namespaces/rename.ts'
import { use } from './commands/namespaces/use.ts'
import { notices } from './commands/notices.ts'
import { accept } from './commands/operator/accept.ts'
import { answer } from './commands/operator/answer.ts'
import { ban } from './commands/operator/ban.ts'
import { cap } from './commands/operator/cap.ts'
import { cards } from './commands/operator/cards.ts'
import { credit } from './commands/operator/credit.ts'
import { find } from './commands/operator/find.ts'
import { log as operatorLog } from './commands/operator/log.ts'
import { note } from './commands/operator/note.ts'
import { operations } from './commands/operator/operations.ts'
import { payments } from './commands/operator/payments.ts'
import { refund } from './commands/operator/refund.ts'
import { requests } from './commands/operator/requests.ts'
import { resolve } from './commands/operator/resolve.ts'
import { retry } from './commands/operator/retry.ts'
import { rights } from './commands/operator/rights.ts'
import { suspend } from './commands/operator/suspend.ts'
import { unsuspend } from './commands/operator/unsuspend.ts'
import { warm } from './commands/operator/warm.ts'
import { show as showPolicy } from './commands/policy/show.ts'
import { verify as verifyPolicy } from './commands/policy/verify.ts'
import { importSecrets } from './commands/secrets/import.ts'
import { list as listSecrets } from './commands/secrets/list.ts'
import { set as setSecret } from './commands/secrets/set.ts'
import { unset } from './commands/secrets/unset.ts'
import { whoami } from './commands/whoami.ts'
import { renderTopHelp } from './help.ts'

/** Every command, by the words that are typed. */
export const program: Group = {
  summary: 'Deploy AI agents from a folder to a machine of their own',
  commands: {
    login,
    logout,
    whoami,
    init,
    deploy,
    agents: {
      summary: 'See, follow, stop, start, roll back, move and delete agents',
      commands: {
        list: listAgents,
        show: showAgent,
        logs,
        open,
        start,
        stop,
        restart,
        releases,
        rollback,
        export: exportAgent,
        import: importAgent,
        delete: deleteAgent,
      },
    },
    secrets: {
      summary: 'Give agents secrets, kept encrypted and never shown again',
      commands: { set: setSecret, list: listSecrets, unset, import: importSecrets },
    },
    domains: {
      summary: 'Attach names of your own, and see what their DNS lacks',
      commands: {
        add: addDomain,
        list: listDomains,
        check: checkDomain,
        wait: waitForDomain,
        remove: removeDomain,
      },
    },
    namespaces: {
      summary: 'Group agents, and share them',
      commands: { create: createNamespace, list: listNamespaces, use, rename, delete: deleteNamespace },
    },
    members: {
      summary: 'Invite others to a namespace and give them roles',
      commands: { add: addMember, join, list: listMembers, 'set-role': setRole, remove: removeMember },
    },
    keys: {
      summary: 'Make API keys for CI and for agents',
      commands: { create: createKey, list: listKeys, rotate: rotateKey, revoke: revokeKey },
    },
    billing: {
      summary: 'See and add credits, follow what is spent, and limit it',
      commands: { balance, deposit, usage, history, limits, prices, verify },
    },
    account: {
      summary: 'See, export, change and delete your account, end sessions',
      commands: {
        show: showAccount,
        update: updateAccount,
        export: exportAccount,
        delete: deleteAccount,
        receipt,
        webhook: {
          summary: 'Have service messages sent to an address of yours',
          commands: { set: setWebhook, show: showWebhook, test: testWebhook, remove: removeWebhook },
        },
        sessions: {
          summary: 'See and end the sessions of your account',
          commands: { list: listSessions, revoke: revokeSession },
        },
      },
    },
    notices,
    policy: {
      summary: 'Read the privacy policy, and see whether the service keeps it',
      commands: { show: showPolicy, verify: verifyPolicy },
    },
    // For the people who run a service: not among the commands that the first page of the help shows.
    operator: {
      summary: 'Decide what the service itself cannot, as somebody who runs it',
      commands: {
        find,
        suspend,
        unsuspend,
        cap,
        ban,
        credit,
        payments,
        resolve,
        cards,
        accept,
        refund,
        warm,
        rights,
        note,
        answer,
        operations,
        retry,
        requests,
        log: operatorLog,
      },
    },
    doctor,
    completion: completionOf(() => program),
    commands: commandsOf(() => program),
  },
}

const chapters = {
  Start: ['login', 'init', 'deploy'],
  Operate: ['agents', 'secrets', 'domains'],
  Money: ['billing'],
  Account: ['whoami', 'logout', 'account', 'notices', 'policy', 'namespaces', 'members', 'keys'],
  Tool: ['doctor', 'completion', 'commands'],
}

export const topHelp = (): string => renderTopHelp(program, chapters)
