import { printable } from './output.ts'

export interface Bar {
  label: string
  amount: bigint
  /** What stands behind the bar. */
  text: string
}

const WIDTH = 80
const LABEL_MAX = 28
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']

/** Horizontal bars that fit 80 columns; whatever is not nothing gets at least a sliver. */
export function barChart(bars: Bar[], style: (text: string) => string): string {
  const labels = bars.map(({ label }) => shorten(printable(label)))
  const labelWidth = Math.max(0, ...labels.map((label) => label.length))
  const textWidth = Math.max(0, ...bars.map(({ text }) => text.length))
  const eighths = BigInt((WIDTH - labelWidth - textWidth - 4) * 8)
  let most = 1n
  for (const { amount } of bars) if (amount > most) most = amount
  return bars
    .map(({ amount, text }, index) => {
      const length = amount <= 0n ? 0 : Math.max(1, Number((amount * eighths) / most))
      const bar = '█'.repeat(Math.floor(length / 8)) + (EIGHTHS[length % 8] ?? '')
      const room = ' '.repeat(Number(eighths / 8n) - bar.length)
      return `${(labels[index] ?? '').padEnd(labelWidth)}  ${style(bar)}${room}  ${text.padStart(textWidth)}`
    })
    .join('\n')
}

const shorten = (label: string): string =>
  label.length > LABEL_MAX ? `${label.slice(0, LABEL_MAX - 1)}…` : label
