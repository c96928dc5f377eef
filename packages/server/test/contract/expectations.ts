import type { Role, Scope } from '@agentctl/contract/endpoint.ts'

/**
 * Who may do what, written down apart from the contract and from the code, so that a slip in one of them is a
 * difference between the two. Whoever adds an endpoint says here whom it is meant for.
 */
export interface Expectation {
  /**
   * anybody: any credential or none. proof: whoever shows a proof in the body, which a test has not. login: a person's
   * session. login or key: that, or an API key. Then the runner of a machine, and operators.
   */
  by: 'anybody' | 'proof' | 'login' | 'login or key' | 'machine' | 'operator'
  /** What a key must have. */
  scope?: Scope
  /** Lowest role in the namespace that the request is about; absent where it is about none. */
  role?: Role
  /** The thing that the path names is the account's own: to others of the same namespace it does not exist either. */
  own?: true
}

const anybody: Expectation = { by: 'anybody' }
const login: Expectation = { by: 'login' }
const member = (role: Role): Expectation => ({ by: 'login', role })
const machine: Expectation = { by: 'machine' }
const operator: Expectation = { by: 'operator' }
const reads: Expectation = { by: 'login or key', scope: 'agents:read', role: 'viewer' }
const writes: Expectation = { by: 'login or key', scope: 'agents:write', role: 'developer' }
const readsBilling: Expectation = { by: 'login or key', scope: 'billing:read' }
const paysBilling: Expectation = { by: 'login or key', scope: 'billing:write' }
const managesKeys: Expectation = { by: 'login or key', scope: 'keys:manage' }

export const expectations: Readonly<Record<string, Expectation>> = {
  health: anybody,
  showOpenApi: anybody,
  showDocumentation: anybody,
  showPolicyPage: anybody,
  showPolicy: anybody,

  startPhoneLogin: anybody,
  verifyPhoneLogin: anybody,
  startWalletLogin: anybody,
  verifyWalletLogin: anybody,
  acceptTerms: anybody,
  logout: login,
  whoami: { by: 'login or key' },
  showAccount: login,
  startPhoneLink: login,
  linkPhone: login,
  startWalletLink: login,
  linkWallet: login,
  startPhoneProof: login,
  provePhone: login,
  startWalletProof: login,
  proveWallet: login,
  listSessions: login,
  revokeSession: { by: 'login', own: true },
  exportAccount: login,
  setWebhook: login,
  showWebhook: login,
  testWebhook: login,
  removeWebhook: login,
  planErasure: login,
  startErasure: login,
  showErasure: anybody,
  listNotices: { by: 'login or key' },
  readNotices: { by: 'login or key' },

  listKeys: managesKeys,
  createKey: member('viewer'),
  rotateKey: { ...managesKeys, own: true },
  revokeKey: { ...managesKeys, own: true },

  listNamespaces: { by: 'login or key' },
  createNamespace: login,
  renameNamespace: member('admin'),
  deleteNamespace: member('owner'),
  listMembers: { by: 'login or key', role: 'viewer' },
  inviteMember: member('admin'),
  acceptInvitation: login,
  setRole: member('admin'),
  removeMember: member('admin'),

  listAgents: reads,
  createAgent: writes,
  showAgent: reads,
  deleteAgent: writes,
  stopAgent: writes,
  startAgent: writes,
  restartAgent: writes,
  planDeploy: writes,
  uploadBlobs: writes,
  deploy: writes,
  listReleases: reads,
  showRelease: reads,
  rollback: writes,
  exportAgent: member('developer'),
  exportContents: member('developer'),
  readLogs: reads,
  listSecrets: reads,
  setSecrets: writes,

  listDomains: reads,
  addDomain: { by: 'login or key', scope: 'domains:write', role: 'developer' },
  showDomain: reads,
  checkDomain: reads,
  removeDomain: { by: 'login or key', scope: 'domains:write', role: 'developer' },

  showBalance: readsBilling,
  listPrices: anybody,
  listHistory: readsBilling,
  exportLedger: readsBilling,
  listLedgerKeys: anybody,
  showUsage: readsBilling,
  showLimits: readsBilling,
  setLimits: paysBilling,
  listDepositAddresses: readsBilling,
  claimDeposit: paysBilling,
  listDeposits: readsBilling,
  showDeposit: { ...readsBilling, own: true },
  startCheckout: paysBilling,
  showCheckout: { ...readsBilling, own: true },
  showCheckoutDone: anybody,
  showCheckoutCanceled: anybody,
  stripeWebhook: anybody,

  runnerHello: { by: 'proof' },
  runnerPoll: machine,
  runnerBlobs: machine,
  runnerReport: machine,
  runnerLogs: machine,
  runnerAsset: anybody,

  findAccount: operator,
  setStanding: operator,
  capAccount: operator,
  creditAccount: operator,
  retryOperation: operator,
  listPayments: operator,
  resolvePayment: operator,
  refundPayment: operator,
  listCardPayments: operator,
  creditCardPayment: operator,
  refundCardPayment: operator,
  showWarmMachines: operator,
  listRightsRequests: operator,
  noteRightsRequest: operator,
  answerRightsRequest: operator,
  listStuckOperations: operator,
  listActs: operator,
  listRequests: operator,
}
