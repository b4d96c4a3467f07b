// The way into a page for staff: a one-use code in the address's fragment becomes a token, which
// lives in this tab only and is renewed before it runs out. Knows nothing of what the page does.
import type { Problem, TokenGrant, TokenRequest } from '@vetrina/client';

/** Renewed when this share of its life is over. */
const RENEW_AT = 0.7;
/** After a failed renewal, and never oftener. */
const RETRY_MS = 10_000;
/** The longest wait of `setTimeout`. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export type Entry =
  | { readonly kind: 'in'; readonly grant: TokenGrant }
  /** No code and no token: somebody opened the bare address. */
  | { readonly kind: 'no_code' }
  /** The code was used before, or is older than a minute; or the token ran out. */
  | { readonly kind: 'refused'; readonly problem: Problem | undefined }
  | { readonly kind: 'unreachable' };

/** Takes the code out of the address and exchanges it; without one, uses the tab's token. */
export async function enter(key: string): Promise<Entry> {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (code) {
    // Off the address bar first: a code must not end up in a bookmark or a screenshot.
    history.replaceState(history.state, '', location.pathname + location.search);
    const entry = await exchange({ grant: 'code', code });
    if (entry.kind === 'in') keep(key, entry.grant);
    return entry;
  }
  const kept = stored(key);
  if (!kept) return { kind: 'no_code' };
  if (kept.expires_at_ms <= Date.now()) return { kind: 'refused', problem: undefined };
  return { kind: 'in', grant: kept };
}

/** Renews `grant` until `signal` aborts; `renewed` gets each new one. */
export function keepFresh(
  key: string,
  grant: TokenGrant,
  renewed: (grant: TokenGrant) => void,
  signal: AbortSignal,
): void {
  let current = grant;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const plan = (ms: number) => {
    timer = setTimeout(() => void renew(), Math.min(ms, TIMER_MAX_MS));
  };
  const renew = async () => {
    const entry = await exchange({ grant: 'refresh', token: current.token });
    if (signal.aborted || entry.kind === 'refused') return;
    if (entry.kind !== 'in') return plan(RETRY_MS);
    current = entry.grant;
    keep(key, current);
    renewed(current);
    plan(Math.max(RETRY_MS, (current.expires_at_ms - Date.now()) * RENEW_AT));
  };
  plan(Math.max(0, (current.expires_at_ms - Date.now()) * RENEW_AT));
  signal.addEventListener('abort', () => clearTimeout(timer));
}

async function exchange(request: TokenRequest): Promise<Entry> {
  let response: Response;
  try {
    response = await fetch('/v1/tokens', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() },
      body: JSON.stringify(request),
      signal: AbortSignal.timeout(10_000),
    });
    if (response.ok) return { kind: 'in', grant: (await response.json()) as TokenGrant };
  } catch {
    return { kind: 'unreachable' };
  }
  if (response.status >= 500 || response.status === 429) return { kind: 'unreachable' };
  const problem = await response.json().then((body: Problem) => body).catch(() => undefined);
  return { kind: 'refused', problem };
}

function keep(key: string, grant: TokenGrant): void {
  try {
    sessionStorage.setItem(key, JSON.stringify(grant));
  } catch {
    // the tab works until it is reloaded
  }
}

function stored(key: string): TokenGrant | undefined {
  try {
    const text = sessionStorage.getItem(key);
    return text ? (JSON.parse(text) as TokenGrant) : undefined;
  } catch {
    return undefined;
  }
}
