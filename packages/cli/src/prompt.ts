import { Failure } from './failure.ts'

export interface Terminal {
  interactive: boolean
  signal: AbortSignal
}

/** What is asked, and the flag that answers it when there is nobody to ask. */
interface Question {
  message: string
  flag: string
}

export type Prompt = ReturnType<typeof createPrompt>

/** Questions go to stderr, so that stdout stays data; nothing is ever asked without a terminal. */
export function createPrompt({ interactive, signal }: Terminal) {
  async function ask(question: Record<string, unknown>, { message, flag }: Question): Promise<unknown> {
    if (!interactive) {
      throw new Failure('missing_answer', `There is nobody to ask: ${message.replace(/[?:]?\s*$/, '')}`, {
        fix: `Give ${flag}`,
      })
    }
    const { createPromptModule } = await import('inquirer')
    const prompt = createPromptModule({ input: process.stdin, output: process.stderr, signal })
    const answers: Record<string, unknown> = await prompt([{ ...question, name: 'answer', message } as never])
    return answers.answer
  }
  async function confirm(question: Question & { initial?: boolean }): Promise<boolean> {
    return (await ask({ type: 'confirm', default: question.initial ?? false }, question)) === true
  }

  return {
    interactive,
    confirm,
    /** Goes on only with --yes or a yes. */
    async insist({
      message,
      yes,
      instead,
    }: {
      message: string
      yes: boolean
      instead: string
    }): Promise<void> {
      if (yes || (await confirm({ message, flag: '--yes' }))) return
      throw new Failure('interrupted', instead)
    },
    async text(question: Question): Promise<string> {
      return String(await ask({ type: 'input' }, question)).trim()
    },
    async hidden(question: Question): Promise<string> {
      return String(await ask({ type: 'password', mask: '' }, question))
    },
    async choose<T extends string>(
      question: Question & { choices: { name: string; value: T }[] },
    ): Promise<T | undefined> {
      const answer = await ask({ type: 'select', choices: question.choices }, question)
      return question.choices.find(({ value }) => value === answer)?.value
    },
  }
}
