import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

export interface UnixUser {
  name: string
  uid: number
  gid: number
}

/** The first of these users that this system has. Users are never made: a local cloud leaves the system as it was. */
export function findUser(names: readonly string[]): UnixUser | undefined {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const wanted of names) {
    for (const line of lines) {
      const [name, , uid, gid] = line.split(':')
      if (name === wanted && Number(uid) > 0) return { name, uid: Number(uid), gid: Number(gid) }
    }
  }
  return undefined
}

/** Asks the system itself, by trying as that user, since modes, groups and access lists all have a say. */
export function canEnter(user: UnixUser, folder: string): boolean {
  const tried = spawnSync('/bin/sh', ['-c', 'cd -- "$1"', 'sh', folder], {
    uid: user.uid,
    gid: user.gid,
    cwd: '/',
    stdio: 'ignore',
  })
  return tried.status === 0
}
