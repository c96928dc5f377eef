/** Machines of one account at a time. */
export const MACHINES_PER_ACCOUNT = 10
/** The same while an account is new: whoever makes accounts to misuse machines gets few of them before it shows. */
export const MACHINES_PER_NEW_ACCOUNT = 5
export const NEW_ACCOUNT_DAYS = 7
export const RELEASE_BYTES_MAX = 1024 ** 3
/** All uploads that an account keeps. */
export const ACCOUNT_BYTES_MAX = 20 * 1024 ** 3
/** The same before its first payment: accounts are to be had for nothing, and storage is not. */
export const UNPAID_ACCOUNT_BYTES_MAX = 1024 ** 3
/** One blob, as the manifest allows it. */
export const BLOB_BYTES_MAX = 512 * 1024 ** 2
export const SECRETS_PER_AGENT = 200
export const LOG_LINES_PER_DAY = 200_000

/** A machine whose first release is not healthy by then is destroyed. */
export const FIRST_RELEASE_SECONDS = 600
/** The same for a machine whose disk comes from a snapshot, which the provider copies for a quarter of an hour. */
export const RESTORED_RELEASE_SECONDS = 1800
/** What fetching and installing may take on top of the health check's own time. */
export const INSTALL_MARGIN_SECONDS = 900
/** Between the end of a release and the end of its machine, so that the last log lines arrive. */
export const LAST_WORDS_SECONDS = 3
/** Between the switch to another machine and the end of the one before, so that open connections can end. */
export const DRAIN_SECONDS = 30

/** Releases whose files are kept for a rollback. */
export const RELEASES_WITH_FILES = 10

/** Told to whoever waits for a machine that is to come or to go. */
export const PROVIDER_IN_TROUBLE = 'The provider of machines is in trouble; it is asked again'
