/**
 * What words of the product mean, said once. A page shows the explanation where a reader first meets
 * the word; docs/glossary.md names what the API calls it.
 */

export interface Word {
  /** As pages write it. */
  name: string;
  /** One or two sentences, for somebody who has not read the documents. */
  says: string;
}

export const WORDS = {
  gather: { name: 'Gather', says: 'Reads the list of picture addresses.' },
  acquire: {
    name: 'Acquire & Commit',
    says: 'Downloads and checks every picture, then publishes all of them at once.',
  },
  ai: { name: 'AI', says: 'Looks at the brand as a whole: look-alikes, groups, tags, colours.' },
  commit: {
    name: 'commit',
    says: 'The moment at which everything that a run has acquired is published, all of it at once.',
  },
  snapshot: {
    name: 'snapshot',
    says: 'The assets of a brand as one run published them. Readers always see a whole one.',
  },
  held: {
    name: 'held',
    says: 'The run is complete, but would remove much of the brand. Somebody has to publish or discard it.',
  },
  failedItems: {
    name: 'failed',
    says: 'Addresses that gave no picture: gone, refused, or no picture at all. A run lists them with the reasons.',
  },
  letters: {
    name: 'dead letters',
    says: 'Messages that could not be processed and were put aside. They can be sent again or discarded.',
  },
  inFlight: { name: 'in flight', says: 'Sent to a worker, and not finished yet.' },
  waiting: { name: 'waiting', says: 'Listed, and not sent to a worker yet.' },
} as const satisfies Record<string, Word>;

/** A reason that the API gives, without the name that programs know it by: `too_many_failures: …`. */
export function plainReason(reason: string): string {
  return reason.replace(/^[a-z]+(_[a-z]+)+(?=:)/, (code) => {
    const words = code.replaceAll('_', ' ');
    return words[0]!.toLocaleUpperCase() + words.slice(1);
  });
}

export type Term = keyof typeof WORDS;
