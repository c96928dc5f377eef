/** The runner's own log, for the operator: one line an event, never a credential or a secret. */
export type OwnLog = (line: string) => void

// Whoever reads this may go away, as a journal does that is started again; the agent does not go with it.
process.stdout.on('error', () => {})

export const ownLog: OwnLog = (line) => {
  process.stdout.write(`${new Date().toISOString()} runner: ${line}\n`)
}

export const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if (error.message !== '') return error.message
  // A refused connection to a name with several addresses is an AggregateError without a message.
  return 'code' in error ? String(error.code) : error.name
}
