/**
 * Every refusal that the service or the CLI can utter: its HTTP status, the exit code of the CLI,
 * a short title, and what the reader can do about it. `fix` may be overridden by the place that refuses.
 */
const table = {
  // Everywhere
  invalid_request: {
    status: 400,
    exit: 2,
    title: 'The request is not valid',
    fix: 'Correct the field named in the message.',
  },
  unauthenticated: { status: 401, exit: 4, title: 'You are not logged in', fix: 'Run: agentctl login' },
  forbidden: {
    status: 403,
    exit: 4,
    title: 'You are not allowed to do this',
    fix: 'Ask an owner or admin of the namespace, or use a key with the scope that the message names.',
  },
  not_found: {
    status: 404,
    exit: 6,
    title: 'There is no such thing here',
    fix: 'Check the name and the namespace: agentctl agents list',
  },
  conflict: {
    status: 409,
    exit: 1,
    title: 'This conflicts with what is already there',
    fix: 'Choose another name, or change the existing one.',
  },
  method_not_allowed: {
    status: 405,
    exit: 2,
    title: 'This address does not take this method',
    fix: 'Use a method that the Allow header of the answer names.',
  },
  request_timeout: {
    status: 408,
    exit: 7,
    title: 'The request did not arrive in time',
    fix: 'Send it again.',
  },
  unsupported_media_type: {
    status: 415,
    exit: 2,
    title: 'The body is of a kind that is not taken here',
    fix: 'Send it as the documentation of the endpoint says: /docs',
  },
  headers_too_large: {
    status: 431,
    exit: 2,
    title: 'The address and headers of the request are too long',
    fix: 'Send shorter ones.',
  },
  payload_too_large: { status: 413, exit: 2, title: 'The request is too large', fix: 'Send less at once.' },
  rate_limited: {
    status: 429,
    exit: 7,
    title: 'Too many requests',
    fix: 'Wait as long as the answer says, then try again.',
  },
  internal: {
    status: 500,
    exit: 7,
    title: 'Something broke on our side',
    fix: 'Try again; if it stays, report the request id.',
  },
  unavailable: { status: 503, exit: 7, title: 'The service is in trouble', fix: 'Try again in a minute.' },
  provider_unavailable: {
    status: 503,
    exit: 7,
    title: 'A provider that we need is in trouble',
    fix: 'Try again in a minute.',
  },
  idempotency_in_flight: {
    status: 409,
    exit: 7,
    title: 'The same request is still being worked on',
    fix: 'Wait a moment and ask for its state.',
  },
  idempotency_mismatch: {
    status: 422,
    exit: 2,
    title: 'This idempotency key was used for another request',
    fix: 'Use a new key for a new request.',
  },
  idempotency_key_missing: {
    status: 400,
    exit: 2,
    title: 'This request needs an Idempotency-Key header',
    fix: 'Send a random key, the same one on each retry.',
  },

  // Login
  unsupported_number: {
    status: 422,
    exit: 2,
    title: 'Codes cannot be sent to this number',
    fix: 'Use a mobile number of a supported country, or log in with a wallet: agentctl login --wallet',
  },
  login_failed: {
    status: 401,
    exit: 4,
    title: 'This code or signature is not valid',
    fix: 'Start again: agentctl login',
  },
  terms_required: {
    status: 422,
    exit: 2,
    title: 'A new account needs your agreement to the terms, and that you are 18 or older',
    fix: 'Repeat with --accept-terms',
  },
  login_method_taken: {
    status: 409,
    exit: 1,
    title: 'This phone or wallet cannot be linked to your account',
    fix: 'Log in with it instead, or use another one.',
  },
  reauthentication_required: {
    status: 403,
    exit: 4,
    title: 'This needs a login not older than ten minutes',
    fix: 'Log in again, then repeat the command: agentctl login',
  },
  account_suspended: {
    status: 403,
    exit: 4,
    title: 'The account is suspended',
    fix: 'Write to the address at the end of the policy: agentctl policy show',
  },
  account_banned: {
    status: 403,
    exit: 4,
    title: 'The account is banned',
    fix: 'Write to the address at the end of the policy: agentctl policy show',
  },
  invitation_invalid: {
    status: 404,
    exit: 6,
    title: 'This invitation is unknown, used or expired',
    fix: 'Ask for a new one: agentctl members add',
  },
  last_owner: {
    status: 409,
    exit: 1,
    title: 'A namespace keeps at least one owner',
    fix: 'Make somebody else owner first: agentctl members set-role',
  },
  name_taken: { status: 409, exit: 1, title: 'This name is taken', fix: 'Choose another name.' },
  namespace_not_empty: {
    status: 409,
    exit: 1,
    title: 'The namespace still has agents',
    fix: 'Delete them first: agentctl agents delete NAME',
  },

  // Rights
  erasure_blocked: {
    status: 409,
    exit: 1,
    title: 'Something has to come to an end before the account can be deleted',
    fix: 'See what, and what to do: agentctl account delete --plan',
  },
  credits_left: {
    status: 409,
    exit: 1,
    title: 'Credits are left, and they would be lost with the account',
    fix: 'Ask for a refund first, by writing to the address of the policy; or give them up: agentctl account delete --forfeit',
  },

  // Deploy
  invalid_config: {
    status: 400,
    exit: 2,
    title: 'agent.json is not valid',
    fix: 'Correct the line that the message names; agentctl init writes a fresh file.',
  },
  blobs_missing: {
    status: 409,
    exit: 7,
    title: 'Some files of this release have not been uploaded',
    fix: 'Run the deploy again.',
  },
  nothing_to_roll_back: {
    status: 409,
    exit: 1,
    title: 'There is no earlier release that was healthy',
    fix: 'See: agentctl agents releases NAME',
  },
  agent_limit: {
    status: 409,
    exit: 5,
    title: 'The account has as many machines as it may have',
    fix: 'Delete an agent first: agentctl agents delete NAME',
  },
  machines_sold_out: {
    status: 503,
    exit: 7,
    title: 'There is no machine to be had',
    fix: 'Try again in a few minutes, or choose another size: agentctl deploy --size SIZE',
  },
  deploy_in_progress: {
    status: 409,
    exit: 1,
    title: 'Another release of this agent is being deployed',
    fix: 'Wait for it: agentctl agents show NAME',
  },
  release_failed: {
    status: 422,
    exit: 1,
    title: 'The release did not become healthy',
    fix: 'See the log: agentctl agents logs NAME',
  },
  agent_unreachable: {
    status: 502,
    exit: 7,
    title: 'The agent did not answer',
    fix: 'See the log: agentctl agents logs NAME',
  },
  agent_not_running: {
    status: 503,
    exit: 7,
    title: 'The agent is not running',
    fix: 'See: agentctl agents show NAME',
  },

  // Domains
  invalid_hostname: {
    status: 400,
    exit: 2,
    title: 'This name cannot be a domain',
    fix: 'Give a name of your own such as bot.example.com.',
  },
  hostname_unavailable: {
    status: 409,
    exit: 1,
    title: 'This name cannot be attached',
    fix: 'Use another name. If it is yours, make sure that it is not attached elsewhere, then try again.',
  },

  domains_unavailable: {
    status: 503,
    exit: 7,
    title: 'This service takes no names of your own',
    fix: 'Use the address that the agent has anyway: agentctl agents show NAME',
  },

  // Money
  insufficient_credits: {
    status: 402,
    exit: 5,
    title: 'There are not enough credits for this',
    fix: 'Top up: agentctl billing deposit 25',
  },
  spend_limit: {
    status: 402,
    exit: 5,
    title: 'A spend limit does not allow this',
    fix: 'See and change limits: agentctl billing limits',
  },
  deposits_unavailable: {
    status: 503,
    exit: 7,
    title: 'This service takes no payments on that chain',
    fix: 'See where to pay: agentctl billing deposit --address',
  },
  cards_unavailable: {
    status: 503,
    exit: 7,
    title: 'This service takes no payments by card',
    fix: 'Pay on chain: agentctl billing deposit 25',
  },

  // Only ever said by the CLI
  dns_not_right: {
    status: 409,
    exit: 1,
    title: 'The DNS of this name is not right yet',
    fix: 'Correct the records that the message names; changes may take as long as the TTL of the old record.',
  },
  domain_failed: {
    status: 422,
    exit: 1,
    title: 'The domain did not become live',
    fix: 'See: agentctl domains check NAME',
  },
  deposit_rejected: {
    status: 422,
    exit: 1,
    title: 'The payment was not credited',
    fix: 'See what was paid: agentctl billing history',
  },
  wallet_underfunded: {
    status: 402,
    exit: 5,
    title: 'The wallet does not hold enough',
    fix: 'Send more to the wallet, or pay by card: agentctl billing deposit --card 25',
  },
  wallet_not_linked: {
    status: 409,
    exit: 1,
    title: 'This wallet is not linked to your account',
    fix: 'Link it: agentctl account update --wallet',
  },
  ledger_invalid: {
    status: 422,
    exit: 1,
    title: 'The ledger is not what the service signed',
    fix: 'Export it anew: agentctl billing history --json > ledger.json',
  },
  receipt_invalid: {
    status: 422,
    exit: 1,
    title: 'The receipt is not what the service signed',
    fix: 'Ask for it anew: agentctl account receipt --json > receipt.json',
  },
  policy_fails: {
    status: 422,
    exit: 1,
    title: 'A sentence of the privacy policy does not hold',
    fix: 'Look at what was measured: agentctl policy verify --failing',
  },
  usage: { status: 400, exit: 2, title: 'Wrong usage', fix: 'See: agentctl --help' },
  missing_answer: {
    status: 400,
    exit: 2,
    title: 'An answer is missing and there is nobody to ask',
    fix: 'Give the flag that the message names.',
  },
  network: {
    status: 503,
    exit: 7,
    title: 'The service cannot be reached',
    fix: 'Check --api-url and your network: agentctl doctor',
  },
  unexpected: {
    status: 500,
    exit: 1,
    title: 'agentctl itself went wrong',
    fix: 'Run the command again with --debug and report what it prints.',
  },
  still_in_progress: { status: 202, exit: 8, title: 'Still in progress', fix: 'Ask again later.' },
  interrupted: { status: 499, exit: 130, title: 'Interrupted', fix: '' },
  dry_run_changes: {
    status: 200,
    exit: 3,
    title: 'There is something to do',
    fix: 'Run the same command without --dry-run.',
  },
} as const satisfies Record<string, { status: number; exit: ExitCode; title: string; fix: string }>

/** 0 done · 1 failed · 2 usage · 3 dry run found work · 4 not logged in · 5 credits or limit · 6 not found · 7 trouble, try again · 8 still in progress · 130 interrupted */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 130

export type ProblemCode = keyof typeof table
export interface ProblemKind {
  status: number
  exit: ExitCode
  title: string
  fix: string
}
export const problems: Readonly<Record<ProblemCode, ProblemKind>> = table

/** RFC 9457 body plus `code`, `fix`, `requestId`. `title` is the kind, `detail` this occurrence. */
export interface ProblemBody {
  type: string
  title: string
  status: number
  detail: string
  code: ProblemCode
  fix: string
  requestId: string
}
