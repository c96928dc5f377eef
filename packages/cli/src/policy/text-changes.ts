interface Said {
  id: string
  text: string
}

/** Ids of sentences that one text of the policy has and another has not, or has in other words. */
export function textChanges(
  from: readonly Said[],
  to: readonly Said[],
): { added: string[]; changed: string[]; gone: string[] } {
  const before = new Map(from.map(({ id, text }) => [id, text]))
  const after = new Set(to.map(({ id }) => id))
  return {
    added: to.flatMap(({ id }) => (before.has(id) ? [] : [id])),
    changed: to.flatMap(({ id, text }) => (before.has(id) && before.get(id) !== text ? [id] : [])),
    gone: from.flatMap(({ id }) => (after.has(id) ? [] : [id])),
  }
}
