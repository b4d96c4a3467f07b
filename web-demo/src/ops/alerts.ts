// What asks for a person, from the samples: since when, and when it was over. Knows figures and how
// long they must hold; the words, and what to do, are the page's.
import type { OpsSample } from '@vetrina/client';

type Asked = 'buying' | 'money' | 'room';
export type AlertKind = Asked | 'interrupted' | 'few_video' | 'loss' | 'errors';

/** What a sample says of one thing that is wrong. */
interface Finding {
  /** The same for as long as it is the same trouble. */
  readonly id: string;
  readonly kind: AlertKind;
  /** What it is about, by kind: a show's title, or the server's reason. */
  readonly subject: string;
  readonly amount: number;
  readonly of: number;
}

export interface Alert extends Finding {
  /** When it began and when it was over, by the server's clock. */
  readonly since: number;
  readonly over: number | undefined;
}

/** So long it must hold before somebody is called. */
const HOLD_MS: Record<AlertKind, number> = {
  buying: 0,
  money: 0,
  room: 0,
  interrupted: 5_000,
  few_video: 20_000,
  loss: 5_000,
  errors: 0,
};
/** So long it must be gone: what comes and goes is one trouble. */
const CALM_MS = 10_000;
/** Troubles that are over stay in sight for an hour, the newest few of them. */
const OVER_MS_MAX = 3_600_000;
const OVER_MAX = 5;
/** One for each show at most, and a few. */
const FINDINGS_MAX = 120;

/** Above this picture and sound suffer, per cent. */
const LOSS_PERCENT = 2;
/** A show with so many viewers should have half of them with video. */
const VIEWERS_MIN = 4;

export class Alerts {
  readonly #seen = new Map<string, { finding: Finding; since: number; last: number }>();
  #over: readonly Alert[] = [];
  #now = 0;

  /** Takes a sample in; in order of time. */
  add(sample: OpsSample): void {
    const now = sample.at_ms;
    this.#now = now;
    for (const finding of findings(sample).slice(0, FINDINGS_MAX)) {
      const since = this.#seen.get(finding.id)?.since ?? now;
      this.#seen.set(finding.id, { finding, since, last: now });
    }
    for (const [id, { finding, since, last }] of this.#seen) {
      if (now - last < CALM_MS) continue;
      this.#seen.delete(id);
      if (last - since < HOLD_MS[finding.kind]) continue;
      this.#over = [{ ...finding, since, over: last }, ...this.#over].slice(0, OVER_MAX);
    }
    this.#over = this.#over.filter(({ over = now }) => now - over < OVER_MS_MAX);
  }

  /** What goes on, the oldest first. */
  get active(): readonly Alert[] {
    return [...this.#seen.values()]
      .filter(({ finding, since }) => this.#now - since >= HOLD_MS[finding.kind])
      .map(({ finding, since }) => ({ ...finding, since, over: undefined }))
      .sort((a, b) => a.since - b.since);
  }

  /** What was, the newest first. */
  get over(): readonly Alert[] {
    return this.#over;
  }
}

function findings({ answers, shows, figures }: OpsSample): Finding[] {
  const found: Finding[] = [];
  for (const { question, good, reason = '' } of answers) {
    // Of video, the shows tell more.
    if (good || question === 'video') continue;
    found.push({ id: question, kind: question, subject: reason, amount: 0, of: 0 });
  }
  for (const { id, title, state, viewers, subscribers } of shows) {
    const show = { subject: title, amount: subscribers, of: viewers };
    if (state === 'interrupted') {
      found.push({ id: `interrupted ${id}`, kind: 'interrupted', ...show });
    }
    if (state === 'live' && viewers >= VIEWERS_MIN && subscribers * 2 < viewers) {
      found.push({ id: `few_video ${id}`, kind: 'few_video', ...show });
    }
  }
  const { media_loss_percent: loss, errors_per_second: errors } = figures;
  const about = { subject: '', of: 0 };
  if (loss > LOSS_PERCENT) found.push({ id: 'loss', kind: 'loss', amount: loss, ...about });
  if (errors > 0) found.push({ id: 'errors', kind: 'errors', amount: errors, ...about });
  return found;
}
