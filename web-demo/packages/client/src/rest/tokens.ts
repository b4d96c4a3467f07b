// Who we are: gets a token, keeps it fresh, and forgets it when the server says it is no good.
import type { TokenGrant, TokenRequest } from '../generated/wire.ts';
import { browserRuntime, type Runtime } from '../clock.ts';
import { NoAnswerError, problemOf, ProblemError } from './problem.ts';

/** Where tokens come from, as the channel and the video need it. */
export interface TokenSource {
  /** A token that is good now. */
  get(): Promise<string>;
  /** This one was refused: do not give it out again. */
  reject(token: string): void;
  /** The error says that there will be no token, not now and not later. */
  refused(error: unknown): boolean;
  /** Tells of every new token, until the returned function is called. */
  watch(run: (token: string) => void): () => void;
}

/** Where a grant survives a reload; `sessionStorage` fits. */
export type GrantStore = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

export interface TokensOptions {
  /** The server's origin. */
  readonly origin: string;
  /** How to become somebody when there is no token: a guest, or a code. A code is good once. */
  readonly request: () => TokenRequest | undefined;
  readonly store?: { readonly storage: GrantStore; readonly key: string };
  readonly runtime?: Runtime;
  readonly fetch?: typeof fetch;
}

/** Refresh when this part of a token's remaining life has passed. */
const REFRESH_AT = 0.75;
/** Wait so long after a refresh that got no answer. */
const REFRESH_RETRY_MS = 15_000;
/** A token with less life than this is not given out. */
const MARGIN_MS = 5_000;

/** There is no token and nothing to get one with. */
export class NoTokenError extends Error {
  override name = 'NoTokenError';
}

export class Tokens implements TokenSource {
  readonly #runtime: Runtime;
  readonly #fetch: typeof fetch;
  readonly #watchers = new Set<(token: string) => void>();
  #grant: TokenGrant | undefined;
  #asking: Promise<TokenGrant> | undefined;
  #refresh: (() => void) | undefined;

  constructor(private readonly options: TokensOptions) {
    this.#runtime = options.runtime ?? browserRuntime;
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
    const kept = this.#kept();
    if (kept) this.#take(kept);
  }

  /** The grant in use, if there is one. */
  get grant(): TokenGrant | undefined {
    return this.#grant && this.#good(this.#grant) ? this.#grant : undefined;
  }

  async get(): Promise<string> {
    return (await this.getGrant()).token;
  }

  async getGrant(): Promise<TokenGrant> {
    if (this.grant) return this.grant;
    const request = this.options.request();
    if (!request) throw new NoTokenError('no token, and nothing to get one with');
    // Channel, video and REST start together: one request serves them all.
    this.#asking ??= this.ask(request).finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  /** Asks for a token this way and uses it from now on: a code, or a guest with another name. */
  async ask(request: TokenRequest): Promise<TokenGrant> {
    const grant = await this.#post(request);
    this.#take(grant);
    return grant;
  }

  reject(token: string): void {
    if (this.#grant?.token === token) this.forget();
  }

  /** Forgets the token, here and in the store. */
  forget(): void {
    this.#grant = undefined;
    this.#refresh?.();
    this.#refresh = undefined;
    try {
      this.options.store?.storage.removeItem(this.options.store.key);
    } catch {
      // nothing was stored then
    }
  }

  refused(error: unknown): boolean {
    if (error instanceof NoTokenError) return true;
    if (!(error instanceof ProblemError)) return false;
    const { status } = error.problem;
    return status >= 400 && status < 500 && status !== 429 && status !== 408;
  }

  watch(run: (token: string) => void): () => void {
    this.#watchers.add(run);
    return () => void this.#watchers.delete(run);
  }

  async #post(request: TokenRequest): Promise<TokenGrant> {
    const url = new URL('/v1/tokens', this.options.origin);
    let response: Response;
    try {
      response = await this.#fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(request),
      });
    } catch (error) {
      throw new NoAnswerError('no answer to the request for a token', { cause: error });
    }
    if (!response.ok) throw new ProblemError(await problemOf(response));
    return (await response.json()) as TokenGrant;
  }

  #take(grant: TokenGrant): void {
    if (this.#grant?.token === grant.token) return;
    this.#grant = grant;
    try {
      this.options.store?.storage.setItem(this.options.store.key, JSON.stringify(grant));
    } catch {
      // private mode: the token lives as long as the page
    }
    const life = grant.expires_at_ms - this.#runtime.wall();
    this.#schedule(Math.max(1_000, life * REFRESH_AT));
    for (const run of [...this.#watchers]) run(grant.token);
  }

  #schedule(ms: number): void {
    this.#refresh?.();
    // Timers count 32 bits of milliseconds; a longer one would fire at once.
    const wait = Math.min(ms, 2 ** 31 - 1);
    this.#refresh = this.#runtime.after(wait, () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const grant = this.grant;
    if (!grant) return;
    try {
      this.#take(await this.#post({ grant: 'refresh', token: grant.token }));
    } catch (error) {
      // Refused for good: it is used until it ends, then the channel asks who we are.
      if (!this.refused(error)) this.#schedule(REFRESH_RETRY_MS);
    }
  }

  #good(grant: TokenGrant): boolean {
    return grant.expires_at_ms - this.#runtime.wall() > MARGIN_MS;
  }

  #kept(): TokenGrant | undefined {
    try {
      const text = this.options.store?.storage.getItem(this.options.store.key);
      const grant = text ? (JSON.parse(text) as TokenGrant) : undefined;
      return grant && typeof grant.token === 'string' && this.#good(grant) ? grant : undefined;
    } catch {
      return undefined;
    }
  }
}
