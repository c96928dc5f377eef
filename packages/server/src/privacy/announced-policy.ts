import { CONTACT, policy, processors, type Section, type Sentence } from './policy.ts'
import { policyKinds } from './policy-kinds.ts'

export interface PolicyAnnouncement {
  /** The day from which on it is told. */
  announcedOn: string
  text: readonly Section[]
}

/** Sentences that take the place of those with their id, or come at the end of their section. */
const amendments: Readonly<Record<string, readonly Sentence[]>> = {
  'How long we keep it': [
    {
      id: '6r',
      text: 'What has had its time is deleted by work that comes by every ten minutes, without anybody deciding it: rows leave the database and files their store, nothing is on paper, and what law makes us keep is moved apart before, and destroyed at its own end.',
    },
  ],
  'Age, changes, contact': [
    {
      id: '10b',
      text: 'Whoever goes on using the service after a change accepts it; of each account we keep which text it has seen last.',
    },
    {
      id: '11',
      text: `Our privacy officer reads what is written to ${CONTACT}: write there about anything on this page.`,
    },
  ],
}

/** New sections, by the section that they follow. */
const additions: Readonly<Record<string, Section>> = {
  'Who works for us': {
    title: 'What goes abroad, and how to refuse it',
    sentences: [
      {
        id: '12a',
        text: `Twilio, in the United States, is sent your phone number, over an encrypted connection each time you ask for a code, to send that code and to check it. It keeps it as its own policy says: ${processors.Twilio}. Whoever refuses this logs in by wallet.`,
      },
      {
        id: '12b',
        text: `Stripe, in the United States and Ireland, is sent an amount and random ids of ours, over an encrypted connection each time you pay by card, to take the payment; you tell it the rest on its own page. It keeps it as its own policy says: ${processors.Stripe}. Whoever refuses this pays on chain.`,
      },
      {
        id: '12c',
        text: `Cloudflare, in the United States and worldwide, is sent the names of your own under which agents are reached, over an encrypted connection when you attach or remove one, to make certificates for them; and it carries each request to the API and to agents, with the address it comes from. It keeps it as its own policy says: ${processors.Cloudflare}. Whoever refuses the first attaches no name; without the second the service cannot be used.`,
      },
      {
        id: '12d',
        text: `Vultr is a company in the United States, and what it hosts for us is in Seoul: it is told random ids of ours for machines, and nothing of you goes abroad. Its own policy: ${processors.Vultr}. Whoever refuses this cannot use the service.`,
      },
      {
        id: '12e',
        text: 'Nobody else is entrusted with data of yours. Nothing else is sent abroad but what is public on a blockchain, and your service messages, if you name an address for them yourself.',
      },
      {
        id: '12f',
        text: 'All of this is sent because the contract with you cannot be kept otherwise; so you are told of it here, and not asked for a consent.',
        notice: true,
      },
    ],
  },
  'How long we keep it': {
    title: 'What there is, kind by kind',
    sentences: [
      {
        id: '13',
        text: 'A table on the page /policy is a part of this text: all kinds of data that we keep, what each is used to, and for how long.',
      },
    ],
    rows: policyKinds,
  },
}

function amended({ title, sentences }: Section): Section {
  const more = amendments[title] ?? []
  const ids = new Set(sentences.map(({ id }) => id))
  return {
    title,
    sentences: [
      ...sentences.map((one) => more.find(({ id }) => id === one.id) ?? one),
      ...more.filter(({ id }) => !ids.has(id)),
    ],
  }
}

/**
 * The whole text that comes next, while there is one: its day and hash are the last row of `policyVersions`. Every
 * account is told by a notice. Once its day has come it is the policy; the next release moves it to `policy.ts`.
 */
export const announcedPolicy: PolicyAnnouncement | undefined = {
  announcedOn: '2026-11-25',
  text: policy.flatMap((section) => [amended(section), additions[section.title] ?? []].flat()),
}
