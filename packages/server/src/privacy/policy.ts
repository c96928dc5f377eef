/** One sentence of the privacy policy. Its id is for life: notes, tests and evidence name it. */
export interface Sentence {
  id: string
  text: string
  /** It tells something, and there is nothing to enforce; every other sentence has evidence. */
  notice?: true
}

export interface Section {
  title: string
  sentences: readonly Sentence[]
  /** What is said best as a table, under its sentences: its head, then its rows. */
  rows?: readonly (readonly string[])[]
}

/** Who works for us, as section 3 names them, and what they say themselves. The only ones who are ever called. */
export const processors = {
  Twilio: 'https://www.twilio.com/legal/privacy',
  Stripe: 'https://stripe.com/privacy',
  Cloudflare: 'https://www.cloudflare.com/privacypolicy/',
  Vultr: 'https://www.vultr.com/legal/privacy/',
} as const

/**
 * Stands in every text for the address of the privacy officer, which each installation sets for itself: what is shown
 * has that one in its place. It is the address that the first texts were published with, so that their hashes hold.
 */
export const CONTACT = 'privacy@agentctl.dev'

/** A text as an installation shows it. */
export function shownText(text: readonly Section[], contact: string): Section[] {
  return text.map((section) => ({
    ...section,
    sentences: section.sentences.map((one) => ({ ...one, text: one.text.replace(CONTACT, contact) })),
  }))
}

export const policy: readonly Section[] = [
  {
    title: 'What we keep',
    sentences: [
      {
        id: '1',
        text: 'We keep only what running the service takes, and each thing for a purpose named below.',
      },
      {
        id: '1a',
        text: 'Your phone number logs you in by a code; we keep a keyed hash of it, never the number.',
      },
      {
        id: '1b',
        text: 'Your wallet address logs you in by a signature and tells which payments on chain are yours.',
      },
      {
        id: '1c',
        text: 'Of your agents we keep namespaces, configurations, releases and domain settings; their secrets are encrypted.',
      },
      {
        id: '1d',
        text: 'Of your payments we keep balances, the history of every movement, and records of deposits.',
      },
      {
        id: '1e',
        text: 'Of requests to the API we log metadata, against abuse and for finding faults, never their contents.',
      },
    ],
  },
  {
    title: 'What we use it for',
    sentences: [
      { id: '2a', text: 'To know that it is you, and to keep others out of your account.' },
      { id: '2b', text: 'To make and run the machines of your agents.' },
      { id: '2c', text: 'To take payments and keep the books.' },
      { id: '2d', text: 'To notice and stop abuse and fraud.' },
      { id: '2e', text: 'To find faults and make the service better.' },
      { id: '2f', text: 'To tell you of changes and of what is critical for your agents.' },
      { id: '2g', text: 'We do not sell personal data.' },
      { id: '2h', text: 'We do not use your data for advertising or marketing.' },
    ],
  },
  {
    title: 'Who works for us',
    sentences: [
      { id: '3a', text: 'Twilio sends the code by text message and is told your phone number for it.' },
      {
        id: '3b',
        text: 'Stripe takes card payments on pages of its own; card details never reach our servers.',
      },
      { id: '3c', text: 'Cloudflare provides DNS, delivery and certificates for the domains of agents.' },
      {
        id: '3d',
        text: 'Vultr hosts the machines of agents and the platform, in its Seoul region in Korea.',
      },
      {
        id: '3e',
        text: 'Each of them has a privacy policy of its own, which we encourage you to read.',
        notice: true,
      },
    ],
  },
  {
    title: 'What is public on a blockchain',
    sentences: [
      {
        id: '4a',
        text: 'A wallet address and its transactions are public on their chain; that is how chains work, and out of our hands.',
        notice: true,
      },
      { id: '4b', text: 'We keep addresses and transaction hashes to check deposits and for the books.' },
    ],
  },
  {
    title: 'Where it is and how it is guarded',
    sentences: [
      { id: '5a', text: 'Your data is in a PostgreSQL database, and the files that you deploy beside it.' },
      { id: '5b', text: 'Connections are encrypted.' },
      { id: '5c', text: 'Networks are separated: machines of agents are reached through our routers only.' },
      { id: '5d', text: 'Roles decide who may see what, in our code and once more in the database.' },
      {
        id: '5e',
        text: 'API keys are kept as hashes; the key itself is shown once, when it is made.',
      },
    ],
  },
  {
    title: 'How long we keep it',
    sentences: [
      {
        id: '6a',
        text: 'Data of your account stays as long as the account; secrets of an agent until you take them away or delete it.',
      },
      {
        id: '6b',
        text: 'When an agent is suspended for lack of credits, its snapshot is deleted after a grace period.',
      },
      { id: '6c', text: 'The configuration of such an agent is kept.' },
      { id: '6d', text: 'Billing records are kept as long as accounting law asks for.' },
      { id: '6e', text: 'API logs are kept for at most 90 days.' },
      {
        id: '6f',
        text: 'A login ends after 30 days without use, and 90 days after it was made at the latest; then its record is deleted.',
      },
      {
        id: '6g',
        text: 'Codes that are under way, messages to be signed and unfinished sign-ups are deleted within a day.',
      },
      { id: '6h', text: 'Counters against abuse are deleted within two days.' },
      { id: '6i', text: 'The answer to a request that may be sent again is kept for a day.' },
      { id: '6j', text: 'What an agent prints is kept for seven days.' },
      { id: '6k', text: 'Files that no release needs any more are deleted after 30 days.' },
      {
        id: '6l',
        text: 'Records of machines, snapshots and domains that are gone, of work that has ended and of what Stripe told us of it are deleted after 90 days.',
      },
      { id: '6m', text: 'Messages to you are kept for a year.' },
      { id: '6n', text: 'Invitations to a namespace are deleted 30 days after they were made.' },
      { id: '6o', text: 'What our own people look at and do is logged, and that log is kept for a year.' },
      {
        id: '6q',
        text: 'Of accounts that were banned, keyed hashes of phones and wallets are kept for a year, so that they make no new one.',
      },
      {
        id: '6p',
        text: 'Deleted is removed, not hidden; backups of the database end seven days later.',
        notice: true,
      },
    ],
  },
  {
    title: 'Your rights',
    sentences: [
      { id: '7a', text: 'You may see the personal data that we hold about you.' },
      { id: '7b', text: 'You may have what is wrong corrected.' },
      { id: '7c', text: 'You may have your account and its data deleted, but for what law makes us keep.' },
      { id: '7d', text: 'You may export the configurations of your agents.' },
      {
        id: '7e',
        text: 'Write to the address below for any of these, if the tool does not do it for you.',
      },
    ],
  },
  {
    title: 'Cookies',
    sentences: [
      { id: '8a', text: 'The service sets no cookie but one for the session of the console.' },
      {
        id: '8b',
        text: 'There is no analytics of others, no advertising tracker, and nothing that is loaded from elsewhere.',
      },
      { id: '8c', text: 'So there is no banner that asks about cookies.', notice: true },
    ],
  },
  {
    title: 'Age, changes, contact',
    sentences: [
      { id: '9a', text: 'The service is not for people under 18; whoever signs up declares to be older.' },
      { id: '9b', text: 'We do not knowingly keep data of minors, and ask for nobody’s date of birth.' },
      { id: '10a', text: 'When this policy changes, the day at its top changes.' },
      { id: '10b', text: 'Whoever goes on using the service after a change accepts it.' },
      { id: '11', text: `Write to ${CONTACT} about anything on this page.` },
    ],
  },
]
