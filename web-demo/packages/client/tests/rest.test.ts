// Tokens and REST: one identity, kept fresh; problems are typed; a POST has one key however often
// it is sent.
import { describe, expect, it, vi } from 'vitest';
import { NoAnswerError, NoTokenError, ProblemError, Rest, Tokens } from '../src/index.ts';
import type { Problem, TokenGrant } from '../src/generated/wire.ts';
import { settled, TestRuntime, TestTokens } from './harness.ts';

type Handler = (request: Request) => Response | Promise<Response>;

/** A fetch that a test answers; keeps the requests. */
function server(handler: Handler) {
  const requests: Request[] = [];
  const fetch = async (input: RequestInfo | URL, init?: RequestInit) => {
    const request = new Request(input, init);
    requests.push(request.clone());
    return handler(request);
  };
  return { requests, fetch: fetch as typeof globalThis.fetch };
}

const problem = (status: number, change: Partial<Problem> = {}) => {
  const body: Problem = { type: '', title: '', status, detail: 'No.', code: 'invalid', ...change };
  const headers = { 'content-type': 'application/problem+json' };
  return new Response(JSON.stringify(body), { status, headers });
};

const origin = 'https://shop.test';

describe('tokens', () => {
  function rig(handler?: Handler) {
    const runtime = new TestRuntime();
    let count = 0;
    const grant = (): TokenGrant => ({
      token: `t${(count += 1)}`,
      user: 'u',
      name: 'Anna',
      role: 'viewer',
      expires_at_ms: runtime.now + 100_000,
    });
    const net = server(handler ?? (() => Response.json(grant(), { status: 201 })));
    const kept = new Map<string, string>();
    const storage = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key),
    };
    const make = () =>
      new Tokens({
        origin,
        runtime,
        fetch: net.fetch,
        request: () => ({ grant: 'guest', show: 's' }),
        store: { storage, key: 'grant' },
      });
    return { runtime, net, kept, make };
  }

  it('asks once for all who wait, and keeps the grant over a reload', async () => {
    const { net, make } = rig();
    const tokens = make();
    expect(await Promise.all([tokens.get(), tokens.get()])).toEqual(['t1', 't1']);
    expect(await net.requests[0]?.json()).toEqual({ grant: 'guest', show: 's' });
    expect(await make().get()).toBe('t1');
    expect(net.requests).toHaveLength(1);
  });

  it('refreshes before the token ends and tells of it', async () => {
    const { runtime, net, make } = rig();
    const tokens = make();
    await tokens.get();
    const told = vi.fn();
    tokens.watch(told);
    await runtime.pass(75_001);
    await vi.waitFor(() => expect(told).toHaveBeenCalledWith('t2'));
    expect(await net.requests[1]?.json()).toEqual({ grant: 'refresh', token: 't1' });
  });

  it('becomes somebody new when the token was rejected or has ended', async () => {
    const { runtime, kept, make } = rig();
    const tokens = make();
    await tokens.get();
    tokens.reject('another');
    expect(await tokens.get()).toBe('t1');
    tokens.reject('t1');
    expect(kept.size).toBe(0);
    expect(await tokens.get()).toBe('t2');
    runtime.now += 96_000;
    expect(tokens.grant).toBeUndefined();
    expect(await make().get()).toBe('t3');
  });

  it('knows a refusal from a silence', async () => {
    const tokens = rig(() => problem(404, { code: 'show_unknown' })).make();
    const refused = await tokens.get().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ProblemError);
    expect(tokens.refused(refused)).toBe(true);
    const silent = rig(() => Promise.reject(new TypeError('network'))).make();
    const away = await silent.get().catch((error: unknown) => error);
    expect(away).toBeInstanceOf(NoAnswerError);
    expect(silent.refused(away)).toBe(false);
    const nobody = new Tokens({ origin, request: () => undefined, runtime: new TestRuntime() });
    await expect(nobody.get()).rejects.toBeInstanceOf(NoTokenError);
  });
});

describe('rest', () => {
  it('sends the bearer, the query and the body', async () => {
    const net = server(() => Response.json({ items: [] }));
    const rest = new Rest({ origin, tokens: new TestTokens(), fetch: net.fetch });
    await rest.listings('a/b', { limit: 5 });
    const [request] = net.requests;
    expect(request?.url).toBe(`${origin}/v1/shows/a%2Fb/listings?limit=5`);
    expect(request?.headers.get('authorization')).toBe('Bearer token-1');
    expect(request?.headers.get('idempotency-key')).toBeNull();
  });

  it('replaces a refused token once, with the same idempotency key', async () => {
    const net = server(({ headers }) =>
      headers.get('authorization') === 'Bearer token-1'
        ? problem(401, { code: 'unauthenticated' })
        : Response.json({ id: 'p' }, { status: 201 }),
    );
    const rest = new Rest({ origin, tokens: new TestTokens(), fetch: net.fetch });
    await rest.createProduct({ title: 'Vase', skus: [] });
    const keys = net.requests.map(({ headers }) => headers.get('idempotency-key'));
    expect(keys).toHaveLength(2);
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(keys[1]).toBe(keys[0]);
    const hopeless = server(() => problem(401, { code: 'unauthenticated' }));
    const locked = new Rest({ origin, tokens: new TestTokens(), fetch: hopeless.fetch });
    await expect(locked.show('s')).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(hopeless.requests).toHaveLength(2);
  });

  it('throws problems with their code, and makes one up where the body is none', async () => {
    const typed = server(() => problem(409, { code: 'key_reused', request_id: 'r' }));
    const rest = new Rest({ origin, fetch: typed.fetch });
    const error = await rest.show('s').catch((one: unknown) => one);
    expect(error).toMatchObject({ code: 'key_reused', problem: { request_id: 'r' } });
    const headers = { 'retry-after': '7' };
    const plain = server(() => new Response('busy', { status: 503, headers }));
    await expect(new Rest({ origin, fetch: plain.fetch }).show('s')).rejects.toMatchObject({
      problem: { status: 503, code: 'overloaded', retry_after_ms: 7_000 },
    });
    const gone = server(() => Promise.reject(new TypeError('network')));
    const silent = new Rest({ origin, fetch: gone.fetch });
    await expect(silent.show('s')).rejects.toBeInstanceOf(NoAnswerError);
  });

  it('goes through all pages', async () => {
    const net = server(({ url }) => {
      const cursor = new URL(url).searchParams.get('cursor');
      return Response.json(cursor ? { items: [3] } : { items: [1, 2], next_cursor: 'c' });
    });
    const items: number[] = [];
    const rest = new Rest({ origin, fetch: net.fetch });
    for await (const item of rest.all<number>('/v1/shows')) items.push(item);
    expect(items).toEqual([1, 2, 3]);
    await settled();
  });
});
