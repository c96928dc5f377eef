/** One sentence of the privacy policy. Its id is for life: notes, tests and evidence name it. */
export interface Sentence {
  id: string
  text: string
}

export interface Section {
  title: string
  sentences: readonly Sentence[]
}

/** The day on which the text below last changed. A changed text has a changed day. */
export const POLICY_LAST_UPDATED = '2026-11-23'

export const policy: readonly Section[] = [
  {
    title: 'What we keep',
    sentences: [
      { id: '1', text: 'We keep only what running the service takes.' },
      {
        id: '1a',
        text: 'Your phone number logs you in by a code; we keep a keyed hash of it, never the number.',
      },
      {
        id: '1b',
        text: 'Your wallet address logs you in by a signature and tells which payments on chain are yours.',
      },
      { id: '1c', text: 'Of your agents we keep namespaces, configurations, releases and domain settings.' },
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
      { id: '3e', text: 'Each of them has a privacy policy of its own, which we encourage you to read.' },
    ],
  },
  {
    title: 'What is public on a blockchain',
    sentences: [
      {
        id: '4a',
        text: 'A wallet address and its transactions are public on their chain; that is how chains work, and out of our hands.',
      },
      { id: '4b', text: 'We keep addresses and transaction hashes to check deposits and for the books.' },
    ],
  },
  {
    title: 'Where it is and how it is guarded',
    sentences: [
      { id: '5a', text: 'Your data is in a PostgreSQL database.' },
      {
        id: '5b',
        text: 'Connections are encrypted, networks are separated, and roles decide who may see what.',
      },
      { id: '5c', text: 'API keys are kept as hashes; the key itself is shown once, when it is made.' },
    ],
  },
  {
    title: 'How long we keep it',
    sentences: [
      { id: '6a', text: 'Data of your account stays as long as the account.' },
      {
        id: '6b',
        text: 'When an agent is suspended for lack of credits, its snapshot is deleted after a grace period.',
      },
      { id: '6c', text: 'The configuration of such an agent is kept.' },
      { id: '6d', text: 'Billing records are kept as long as accounting law asks for.' },
      { id: '6e', text: 'API logs are kept for at most 90 days.' },
    ],
  },
  {
    title: 'Your rights',
    sentences: [
      { id: '7a', text: 'You may see the personal data that we hold about you.' },
      { id: '7b', text: 'You may have what is wrong corrected.' },
      { id: '7c', text: 'You may have your account and its data deleted, but for what law makes us keep.' },
      { id: '7d', text: 'You may export the configurations of your agents.' },
    ],
  },
  {
    title: 'Cookies',
    sentences: [
      { id: '8a', text: 'The console uses one cookie, for the session.' },
      {
        id: '8b',
        text: 'There is no analytics of others, no advertising tracker, and no cookie that the service could do without.',
      },
    ],
  },
  {
    title: 'Age, changes, contact',
    sentences: [
      {
        id: '9',
        text: 'The service is not for people under 18, and we do not knowingly keep data of theirs.',
      },
      { id: '10', text: 'When this policy changes, the day at its top changes, and you are told ahead.' },
      { id: '11', text: 'Write to privacy@agentctl.dev about anything on this page.' },
    ],
  },
]
