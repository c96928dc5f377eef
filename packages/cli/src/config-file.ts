import { chmodSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Failure } from './failure.ts'

/** A login of this machine at one API. */
export interface StoredLogin {
  token: string
  accountId: string
  via: 'session' | 'key'
  expiresAt: string | null
  namespace?: string
}

/** A login that waits for its next step: the code, or the agreement to the terms. */
export interface PendingLogin {
  challengeId?: string
  /** SHA-256 over challenge and number, so that a code is not tried for another number; the number is not kept. */
  phoneHash?: string
  signupToken?: string
  expiresAt: string
}

export interface StoredConfig {
  /** Address of the API that was logged in to last. */
  apiUrl?: string
  logins?: Record<string, StoredLogin>
  pending?: Record<string, PendingLogin>
  /** That wallet data is public on chain has been said. */
  walletNoticeShown?: boolean
  /** By API: the deletion of an account that was asked for here, and what shows its receipt. */
  erasures?: Record<string, { id: string; token: string }>
  /** By API: the public keys that signed its ledgers, kept so that a forged export is noticed offline. */
  ledgerKeys?: Record<string, string[]>
}

type Environment = Record<string, string | undefined>

export function configDirectory(env: Environment): string {
  if (env.AGENTCTL_CONFIG_DIR) return env.AGENTCTL_CONFIG_DIR
  return join(env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config'), 'agentctl')
}

/** What can be lost without harm: hashes of files, and which notices were told. */
export function cacheDirectory(env: Environment): string {
  if (env.AGENTCTL_CONFIG_DIR) return join(env.AGENTCTL_CONFIG_DIR, 'cache')
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'agentctl')
}

export const configPath = (directory: string): string => join(directory, 'config.json')

/** Reads without the library that writes: every command reads, and few write. */
export function readConfig(directory: string): StoredConfig {
  const path = configPath(directory)
  let text: string
  try {
    const { mode } = statSync(path)
    if ((mode & 0o077) !== 0 && process.platform !== 'win32') {
      throw new Failure('usage', `${path} holds your login and others on this machine may read it`, {
        fix: `Run: chmod 600 ${path} (and if others may have read it, agentctl account sessions revoke)`,
      })
    }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw error
  }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // Told below, the same for a file that is JSON but no object.
  }
  throw new Failure('usage', `${path} is not a configuration of agentctl`, {
    fix: `Move it away and log in again: mv ${path} ${path}.broken`,
  })
}

/** Replaces the whole file in one step; a crash leaves the old or the new one. */
export async function writeConfig(directory: string, config: StoredConfig): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  if ((statSync(directory).mode & 0o077) !== 0) chmodSync(directory, 0o700)
  const { default: Conf } = await import('conf')
  const store = new Conf<StoredConfig>({
    cwd: directory,
    configName: 'config',
    configFileMode: 0o600,
    accessPropertiesByDotNotation: false,
  })
  store.store = config
}
