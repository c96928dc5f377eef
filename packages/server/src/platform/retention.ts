/** How long the rows of a table are kept. */
export interface Period {
  /** The sentence of the policy that says so. */
  sentence: string
  table: string
  /** The column from whose time on the days are counted. */
  from: string
  days: number
  /** Which of the rows; all of them unless told. */
  where?: string
  /** The row stays, and only this column is emptied. */
  clears?: string
  /** Deleted by work of its own, which does more than delete rows. */
  ownWork?: true
}

/**
 * Everything that does not stay for as long as its account (policy 6a) or as accounting law asks for (6d). The work that
 * deletes, the evidence that it does, and the comments of the columns follow this table.
 */
export const retention = {
  requestLog: { sentence: '6e', table: 'request_log', from: 'at', days: 90, ownWork: true },
  sessions: { sentence: '6f', table: 'sessions', from: 'expires_at', days: 0 },
  idleSessions: { sentence: '6f', table: 'sessions', from: 'last_used_at', days: 30 },
  phoneChallenges: { sentence: '6g', table: 'phone_challenges', from: 'created_at', days: 1 },
  walletChallenges: { sentence: '6g', table: 'wallet_challenges', from: 'expires_at', days: 0 },
  signups: { sentence: '6g', table: 'signups', from: 'expires_at', days: 0 },
  loginLimits: { sentence: '6h', table: 'login_limits', from: 'expires_at', days: 0 },
  smsCounts: { sentence: '6h', table: 'sms_counts', from: 'at', days: 2 },
  requestCounts: { sentence: '6h', table: 'request_counts', from: 'window_start', days: 1 },
  idempotencyKeys: { sentence: '6i', table: 'idempotency_keys', from: 'created_at', days: 1 },
  checkoutKeys: {
    sentence: '6i',
    table: 'checkouts',
    from: 'created_at',
    days: 1,
    where: 'request_key is not null',
    clears: 'request_key',
  },
  agentLogs: { sentence: '6j', table: 'agent_logs', from: 'at', days: 7 },
  unusedBlobs: { sentence: '6k', table: 'blobs', from: 'used_at', days: 30, ownWork: true },
  machines: { sentence: '6l', table: 'machines', from: 'deleted_at', days: 90, where: `state = 'deleted'` },
  snapshots: {
    sentence: '6l',
    table: 'snapshots',
    from: 'deleted_at',
    days: 90,
    where: `state = 'deleted' and not exists (select from machines m where m.snapshot_id = snapshots.id)`,
  },
  boundSpares: {
    sentence: '6l',
    table: 'warm_machines',
    from: 'bound_at',
    days: 90,
    where: `state = 'bound'`,
  },
  goneSpares: {
    sentence: '6l',
    table: 'warm_machines',
    from: 'deleted_at',
    days: 90,
    where: `state = 'deleted'`,
  },
  transfers: { sentence: '6l', table: 'machine_transfers', from: 'polled_at', days: 90 },
  transferWarnings: { sentence: '6l', table: 'transfer_warnings', from: 'month', days: 90 },
  sightings: { sentence: '6l', table: 'orphan_sightings', from: 'first_seen_at', days: 90 },
  toldFields: { sentence: '6l', table: 'told_fields', from: 'seen_at', days: 90 },
  domains: { sentence: '6l', table: 'domains', from: 'ended_at', days: 90, where: `status = 'removed'` },
  operations: {
    sentence: '6l',
    table: 'operations',
    from: 'finished_at',
    days: 90,
    where: `state <> 'pending'`,
  },
  cardEvents: { sentence: '6l', table: 'card_events', from: 'received_at', days: 90 },
  notices: { sentence: '6m', table: 'notices', from: 'created_at', days: 365 },
  announcements: { sentence: '6m', table: 'announcements', from: 'announced_at', days: 365 },
  announcementReads: { sentence: '6m', table: 'announcement_reads', from: 'read_at', days: 365 },
  noticeDeliveries: { sentence: '6m', table: 'notice_deliveries', from: 'delivered_at', days: 365 },
  invitations: { sentence: '6n', table: 'invitations', from: 'created_at', days: 30 },
  bannedProofs: { sentence: '6q', table: 'banned_proofs', from: 'banned_at', days: 365 },
  operatorActs: { sentence: '6o', table: 'operator_acts', from: 'at', days: 365 },
  // Those that nobody has answered yet stay.
  rightsRequests: { sentence: '7e', table: 'rights_requests', from: 'answered_at', days: 1825 },
} as const satisfies Record<string, Period>

export type PeriodName = keyof typeof retention
export const periodNames = Object.keys(retention) as PeriodName[]

export const DAY_SECONDS = 86_400

/** A backup has what was deleted since for this many days more: `deploy/backup/base-backup.sh` keeps none for longer. */
const BACKUP_DAYS = 7
/**
 * Days of the request log go so early that none is too old, neither in a backup nor when the work has stood still for
 * two days.
 */
export const REQUEST_DAYS_DROP = retention.requestLog.days - BACKUP_DAYS - 2
/** A day that is still there by then shows that the work stands still. */
export const REQUEST_DAYS_ALARM = REQUEST_DAYS_DROP + 1
