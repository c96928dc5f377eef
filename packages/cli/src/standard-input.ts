import { createInterface } from 'node:readline'

/** All of stdin, as text; at most a megabyte, so that a wrong redirection cannot fill the memory. */
export async function readAllInput(): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of process.stdin) {
    const chunk = Buffer.from(part)
    bytes += chunk.length
    parts.push(chunk)
    if (bytes > 1_048_576) break
  }
  return Buffer.concat(parts).toString('utf8')
}

/** The first line of stdin that is not blank; undefined at its end. */
export async function readLine(signal: AbortSignal): Promise<string | undefined> {
  const lines = createInterface({ input: process.stdin, signal })
  try {
    for await (const line of lines) if (line.trim() !== '') return line.trim()
    return undefined
  } finally {
    lines.close()
    process.stdin.destroy()
  }
}
