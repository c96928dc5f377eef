import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

/** One place at which a process can be hit: a statement or request, before it is sent or after its effect. */
export interface Point {
  /** Which program: server, worker or runner. */
  role: string
  /** The call in normal form with what it was done for: `POST /v1/deploys › insert into releases … › after`. */
  name: string
  /** The same without what it was done for. */
  call: string
  /** Its how-maniest occurrence since the arming, counted in each process. */
  nth: number
}

/** What the processes of one world are to do until the next arming. */
export interface Arming {
  id: string
  /** Each is hit once; without any, the points are only noted. */
  targets: Point[]
  /** SIGKILL ends the process; SIGSTOP holds it until somebody sends SIGCONT. */
  signal: 'SIGKILL' | 'SIGSTOP'
}

export interface Hit {
  pid: number
  point: Point
}

export const pointText = ({ role, name, nth }: Point): string => `${role} │ ${name} #${nth}`

/**
 * The folder through which the harness and the processes under test speak: files, since a process that is about to be
 * killed cannot wait for an answer, and since the machines' runners share nothing else with the harness.
 */
export class Control {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
    mkdirSync(folder, { recursive: true, mode: 0o777 })
  }

  arm(arming: Arming): void {
    for (const name of readdirSync(this.folder)) {
      if (name.startsWith('hit-')) rmSync(join(this.folder, name), { force: true })
    }
    writeFileSync(`${this.#armingFile}.next`, JSON.stringify(arming))
    renameSync(`${this.#armingFile}.next`, this.#armingFile)
  }

  disarm(): void {
    rmSync(this.#armingFile, { force: true })
  }

  armed(): Arming | undefined {
    return readJson<Arming>(this.#armingFile)
  }

  /** True for the first process that asks: a target is hit once, also when several processes reach it. */
  claimHit(target: number, hit: Hit): boolean {
    let file: number
    try {
      file = openSync(this.#hitFile(target), 'wx')
    } catch {
      return false
    }
    writeSync(file, JSON.stringify(hit))
    closeSync(file)
    return true
  }

  /** What happened to this target, by its place in the arming. */
  hit(target: number): Hit | undefined {
    return readJson<Hit>(this.#hitFile(target))
  }

  note(arming: Arming, point: Point): void {
    appendFileSync(join(this.folder, `${arming.id}.points`), `${JSON.stringify(point)}\n`)
  }

  /** The points that were reached under an arming, in the order in which they were reached. */
  noted(id: string): Point[] {
    const text = readText(join(this.folder, `${id}.points`)) ?? ''
    return text
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map((line) => JSON.parse(line) as Point)
  }

  forget(id: string): void {
    rmSync(join(this.folder, `${id}.points`), { force: true })
  }

  get #armingFile(): string {
    return join(this.folder, 'arming.json')
  }

  #hitFile(target: number): string {
    return join(this.folder, `hit-${target}.json`)
  }
}

function readJson<T>(file: string): T | undefined {
  const text = readText(file)
  return text ? (JSON.parse(text) as T) : undefined
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
