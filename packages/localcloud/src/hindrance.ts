/** A trouble of this machine that its user can mend; `fix` says how. */
export class Hindrance extends Error {
  readonly fix: string

  constructor(message: string, fix: string) {
    super(message)
    this.name = 'Hindrance'
    this.fix = fix
  }
}
