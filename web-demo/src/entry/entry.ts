// The way into a page for staff: a one-use code in the address's fragment becomes a token, which
// lives in this tab only and is renewed by the SDK. Knows nothing of what the page does.
import { NoAnswerError, Tokens } from '@vetrina/client';

export type Entry =
  | { readonly kind: 'in'; readonly tokens: Tokens }
  /** No code and no token: somebody opened the bare address. */
  | { readonly kind: 'no_code' }
  /** The code was used before, or is older than a minute. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'unreachable' };

/** Takes the code out of the address and exchanges it; without one, uses the tab's token. */
export async function enter(key: string): Promise<Entry> {
  const tokens = new Tokens({
    origin: location.origin,
    request: () => undefined,
    store: { storage: sessionStorage, key },
  });
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (!code) return tokens.grant ? { kind: 'in', tokens } : { kind: 'no_code' };
  // Off the address bar first: a code must not end up in a bookmark or a screenshot.
  history.replaceState(history.state, '', location.pathname + location.search);
  try {
    await tokens.ask({ grant: 'code', code });
  } catch (error) {
    // A link opened twice in one tab: the token of the first time is still good.
    if (!tokens.grant) return { kind: error instanceof NoAnswerError ? 'unreachable' : 'refused' };
  }
  return { kind: 'in', tokens };
}
