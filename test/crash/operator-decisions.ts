import type { World } from './world.ts'

/** What operators have done about payments, oldest first: nothing is done without an entry in their log. */
export interface Decision {
  act: string
  payment: string
  /** An account, or the transaction that returned it. */
  to: string | undefined
}

export async function listDecisions({ sql }: World): Promise<Decision[]> {
  const acts = await sql<{ act: string; subject: string }[]>`
    select act, subject from operator_acts where outcome = 'done' order by at, id`
  return acts.map(({ act, subject }) => {
    const [payment = '', to] = subject.split('>')
    return { act, payment, to }
  })
}
