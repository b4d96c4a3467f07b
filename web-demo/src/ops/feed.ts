// The server's ops feed: `text/event-stream` read by `fetch`, because `EventSource` cannot carry a
// bearer token. Reconnects by itself; knows samples, not what they mean.
import { NoTokenError, type OpsSample } from '@vetrina/client';

/** Back-off between attempts, with jitter. */
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 10_000;
/** One event may not be longer than this; a longer one ends the stream. */
const EVENT_CHARS_MAX = 512 * 1024;

export type FeedState = 'connecting' | 'open' | 'refused';

export interface FeedHooks {
  sample(sample: OpsSample): void;
  state(state: FeedState): void;
}

/** Follows the feed until `signal` aborts or the token is refused. `token` is asked each time. */
export async function follow(
  token: () => Promise<string>,
  hooks: FeedHooks,
  signal: AbortSignal,
): Promise<void> {
  let wait = RETRY_MS_MIN;
  while (!signal.aborted) {
    hooks.state('connecting');
    try {
      const response = await fetch('/ops/feed', {
        headers: { authorization: `Bearer ${await token()}`, accept: 'text/event-stream' },
        signal,
      });
      if (response.status === 401 || response.status === 403) return hooks.state('refused');
      if (response.ok && response.body) {
        hooks.state('open');
        wait = RETRY_MS_MIN;
        for await (const data of events(response.body)) hooks.sample(JSON.parse(data) as OpsSample);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof NoTokenError) return hooks.state('refused');
      console.warn('the ops feed broke off', error);
    }
    await pause(wait * (0.5 + Math.random() / 2), signal);
    wait = Math.min(RETRY_MS_MAX, wait * 2);
  }
}

/** The `data` of each event of a stream (WHATWG HTML, section 9.2.6); other fields are skipped. */
export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let buffer = '';
  let data: string[] = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      buffer += decoder.decode(value, { stream: true });
      let end: RegExpExecArray | null;
      // A lone CR at the end may be the first half of CRLF: wait for what follows.
      while ((end = /\r\n|\n|\r(?!$)/.exec(buffer))) {
        const line = buffer.slice(0, end.index);
        buffer = buffer.slice(end.index + end[0].length);
        if (line === '') {
          if (data.length > 0) yield data.join('\n');
          data = [];
        } else if (line.startsWith('data:')) {
          data.push(line.slice(line.startsWith('data: ') ? 6 : 5));
        }
      }
      if (buffer.length > EVENT_CHARS_MAX) throw new Error('an event of the feed is too long');
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
