import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

// What is kept under the home directory outlives releases, restarts and suspension.
const file = join(homedir(), 'memories.json')
const MEMORIES_MAX = 1000
const TEXT_LENGTH_MAX = 4000

/** An argument or a state that a tool cannot work with; the model is told, and may try again. */
export class ToolError extends Error {}

export const tools = {
  remember: {
    description: 'Keep a short text for later.',
    inputSchema: {
      type: 'object',
      properties: { text: { type: 'string', description: `At most ${TEXT_LENGTH_MAX} characters.` } },
      required: ['text'],
    },
    call({ text }) {
      if (typeof text !== 'string' || text.trim() === '' || text.length > TEXT_LENGTH_MAX) {
        throw new ToolError(`text has to be 1 to ${TEXT_LENGTH_MAX} characters.`)
      }
      const memories = [...readMemories(), { text, at: new Date().toISOString() }].slice(-MEMORIES_MAX)
      writeFileSync(`${file}.new`, JSON.stringify(memories))
      renameSync(`${file}.new`, file)
      return `Kept. There are ${memories.length} memories now.`
    },
  },
  recall: {
    description: 'Find what was kept, newest first.',
    inputSchema: {
      type: 'object',
      properties: {
        query: { type: 'string', description: 'Words that have to occur; none for everything.' },
      },
    },
    call({ query = '' }) {
      if (typeof query !== 'string') throw new ToolError('query has to be text.')
      const words = query.toLowerCase().split(/\s+/).filter(Boolean)
      const found = readMemories().filter(({ text }) =>
        words.every((word) => text.toLowerCase().includes(word)),
      )
      if (found.length === 0) return 'Nothing was kept about that.'
      return found
        .reverse()
        .slice(0, 20)
        .map(({ at, text }) => `${at} ${text}`)
        .join('\n')
    },
  },
}

function readMemories() {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return []
  }
}
