import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, realpathSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { canEnter, findUser, type UnixUser } from './unprivileged-user.ts'

/** Folders of the system that every user may enter; tried in this order when the data directory is closed to others. */
const SYSTEM_FOLDERS = ['/var/lib/agentctl', '/var/tmp/agentctl']

/** Whom PostgreSQL runs as when we are root, which it refuses to be. Undefined: as ourselves. */
export function postgresUser(): UnixUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  const user = findUser(['postgres', 'nobody'])
  if (!user) {
    throw new Error(
      'PostgreSQL refuses to run as root, and this system has neither a user "postgres" nor "nobody". ' +
        'Start as a normal user, or set DATABASE_URL.',
    )
  }
  return user
}

/**
 * The folder in which the cluster lives: inside the data directory, unless that lies where PostgreSQL's user cannot go
 * (a checkout under /root), then in a fresh folder of the system's.
 */
export function choosePlace(folder: string, user: UnixUser | undefined): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (!user) return folder
  openWay(folder, user)
  if (canEnter(user, folder)) return folder
  const errors: string[] = []
  for (const make of isTemporary(folder)
    ? [temporaryPlace]
    : SYSTEM_FOLDERS.map((system) => () => placeIn(system))) {
    try {
      const place = make()
      chownSync(place, 0, user.gid)
      chmodSync(place, 0o710)
      if (canEnter(user, place)) return place
      errors.push(`${user.name} cannot enter ${place}`)
    } catch (error) {
      errors.push(error instanceof Error ? error.message : String(error))
    }
  }
  throw new Error(
    `PostgreSQL has to run as "${user.name}", who cannot enter ${folder}, and no other place was found: ` +
      `${errors.join('; ')}. Set AGENTCTL_DATA_DIR to a folder that this user can enter, or DATABASE_URL.`,
  )
}

/** Only our own two folders are opened, only to that user's group, and only for passing through. */
export function openWay(folder: string, user: UnixUser): void {
  for (const own of [join(folder, '..'), folder]) letPass(own, user)
}

function placeIn(system: string): string {
  mkdirSync(system, { recursive: true, mode: 0o711 })
  // In a folder that everybody may write to, somebody else could have put this one there before us.
  const { uid, mode } = lstatSync(system)
  if (uid !== 0 || (mode & 0o022) !== 0) throw new Error(`${system} does not belong to root alone`)
  const place = join(system, randomBytes(8).toString('hex'))
  mkdirSync(place, { mode: 0o700 })
  return place
}

/** What belongs to a temporary data directory goes where the system cleans up after it. */
function isTemporary(folder: string): boolean {
  return realpathSync(folder).startsWith(realpathSync(tmpdir()) + sep)
}

function temporaryPlace(): string {
  return mkdtempSync(join(tmpdir(), 'agentctl-postgres-'))
}

function letPass(folder: string, user: UnixUser): void {
  const { uid, mode } = statSync(folder)
  if (uid !== 0 || canEnter(user, folder) || (mode & 0o077) !== 0) return
  chownSync(folder, 0, user.gid)
  chmodSync(folder, 0o710)
}
