// One WHIP or WHEP session over HTTP, against a peer connection that only counts.
import { describe, expect, it, vi } from 'vitest';
import { HttpSession, restarted, sdpFragment } from '../src/video/session.ts';
import { ProblemError } from '../src/index.ts';
import { settled, TestTokens } from './harness.ts';

const OFFER = [
  'v=0',
  'a=ice-ufrag:abcd',
  'a=ice-pwd:secret',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'a=mid:0',
  '',
].join('\r\n');

class TestPeer extends EventTarget {
  localDescription: { sdp: string } | null = null;
  remoteDescription: { sdp: string } | null = null;
  remote: unknown;
  createOffer = async ({ iceRestart }: RTCOfferOptions) => ({
    sdp: iceRestart ? OFFER.replace('abcd', 'efgh') : OFFER,
  });
  setLocalDescription = async (offer?: { sdp: string }) => {
    this.localDescription = offer ?? { sdp: OFFER };
  };
  setRemoteDescription = async (answer: unknown) => void (this.remote = answer);
  gathers(...candidates: (string | null)[]): void {
    for (const candidate of candidates) {
      const event = new Event('icecandidate');
      const value = candidate === null ? null : { candidate, sdpMid: '0' };
      this.dispatchEvent(Object.assign(event, { candidate: value }));
    }
  }
}

function rig(status = 201) {
  let restart = 405;
  const requests: { method: string; url: string; headers: Headers; body: unknown }[] = [];
  const fetch = (async (url: string, init: RequestInit) => {
    const headers = new Headers(init.headers);
    requests.push({ method: init.method ?? '', url, headers, body: init.body });
    if (init.method === 'DELETE') return new Response(null, { status: 200 });
    if (init.method === 'PATCH' && headers.get('if-match') === '*') {
      return new Response(RESTART, { status: restart, headers: { etag: '"e2"' } });
    }
    if (init.method === 'PATCH') return new Response(null, { status: 204 });
    if (status !== 201) return new Response('', { status, headers: { 'retry-after': '2' } });
    const answer = { location: '/v1/whep/s/one', etag: '"e1"', 'content-type': 'application/sdp' };
    return new Response('answer', { status, headers: answer });
  }) as unknown as typeof globalThis.fetch;
  const peer = new TestPeer();
  const url = 'https://shop.test/v1/whep/show';
  const tokens = new TestTokens();
  const session = new HttpSession({ url, tokens, fetch });
  const restarts = (answer: number) => (restart = answer);
  return { requests, peer, session, tokens, restarts, open: () => session.open(peer as never) };
}

describe('a session', () => {
  it('posts the offer, tells candidates in one PATCH, deletes once', async () => {
    const { requests, peer, session, open } = rig();
    await open();
    expect(requests[0]).toMatchObject({ method: 'POST', body: OFFER });
    expect(requests[0]?.headers.get('content-type')).toBe('application/sdp');
    expect(peer.remote).toEqual({ type: 'answer', sdp: 'answer' });
    peer.gathers('candidate:1 udp', 'candidate:2 udp', '', null);
    await vi.waitFor(() => expect(requests).toHaveLength(2));
    const [, patch] = requests;
    expect(patch?.url).toBe('https://shop.test/v1/whep/s/one');
    expect(patch?.headers.get('if-match')).toBe('"e1"');
    expect(patch?.body).toContain('a=candidate:1 udp\r\na=candidate:2 udp\r\na=end-of-candidates');
    await session.close();
    await session.close();
    expect(requests.map(({ method }) => method)).toEqual(['POST', 'PATCH', 'DELETE']);
    for (const { headers } of requests) expect(headers.get('authorization')).toBe('Bearer token-1');
  });

  it('says when to come again if nobody publishes', async () => {
    const error = await rig(409)
      .open()
      .catch((one: unknown) => one);
    expect(error).toBeInstanceOf(ProblemError);
    expect((error as ProblemError).problem).toMatchObject({ status: 409, retry_after_ms: 2_000 });
  });

  it('rejects a token that was refused', async () => {
    const { open, tokens } = rig(401);
    await open().catch(() => {});
    expect(tokens.rejected).toEqual(['token-1']);
  });

  it('is freed when it was closed while opening', async () => {
    const { requests, session, peer, open } = rig();
    const opening = open();
    await session.close();
    await opening;
    await settled();
    expect(peer.remote).toBeUndefined();
    expect(requests.map(({ method }) => method)).toEqual(['POST', 'DELETE']);
  });
});

const ANSWER = [
  ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=ice-lite', 'a=group:BUNDLE 0 1'],
  ...['m=video 9 UDP/TLS/RTP/SAVPF 96', 'a=mid:0', 'a=ice-ufrag:old', 'a=ice-pwd:oldsecret'],
  ...['a=candidate:1 1 udp 1 10.0.0.1 1 typ host', 'a=end-of-candidates', 'a=sendonly'],
  ...['m=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=mid:1', 'a=ice-ufrag:old', 'a=ice-pwd:oldsecret'],
  '',
].join('\r\n');
const RESTART = [
  ...['a=ice-lite', 'a=group:BUNDLE 0 1', 'm=video 9 UDP/TLS/RTP/SAVPF 0', 'a=mid:0'],
  ...['a=ice-ufrag:new', 'a=ice-pwd:newsecret', 'a=candidate:2 1 udp 1 10.0.0.2 2 typ host'],
  ...['a=end-of-candidates', ''],
].join('\r\n');

describe('a restart of ICE', () => {
  it('puts the new credentials and candidates into every section of the old answer', () => {
    const fresh = [
      ...['a=ice-ufrag:new', 'a=ice-pwd:newsecret'],
      ...['a=candidate:2 1 udp 1 10.0.0.2 2 typ host', 'a=end-of-candidates'],
    ];
    expect(restarted(ANSWER, RESTART).split('\r\n')).toEqual([
      ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=ice-lite', 'a=group:BUNDLE 0 1'],
      ...['m=video 9 UDP/TLS/RTP/SAVPF 96', 'a=mid:0', 'a=sendonly', ...fresh],
      ...['m=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=mid:1', ...fresh],
      '',
    ]);
    expect(() => restarted(ANSWER, 'a=ice-lite\r\n')).toThrow('without new credentials');
  });

  it('is one PATCH for any entity tag, and later ones carry the new tag', async () => {
    const { requests, peer, session, open, restarts } = rig();
    await open();
    peer.gathers(null);
    peer.remoteDescription = { sdp: ANSWER };
    restarts(200);
    await session.restart(peer as never);
    const patch = requests.at(-1);
    expect(patch).toMatchObject({ method: 'PATCH', url: 'https://shop.test/v1/whep/s/one' });
    expect(patch?.headers.get('if-match')).toBe('*');
    expect(patch?.headers.get('content-type')).toBe('application/trickle-ice-sdpfrag');
    expect(patch?.body).toBe(sdpFragment(OFFER.replace('abcd', 'efgh')));
    expect(peer.remote).toEqual({ type: 'answer', sdp: restarted(ANSWER, RESTART) });
    peer.gathers('candidate:3 udp', null);
    await vi.waitFor(() => expect(requests).toHaveLength(3));
    expect(requests[2]?.headers.get('if-match')).toBe('"e2"');
    expect(requests[2]?.body).toContain('a=ice-ufrag:efgh');
  });

  it.each([404, 405, 412, 422])('that the server answers by %d throws', async (status) => {
    const { peer, session, open, restarts } = rig();
    await open();
    peer.remoteDescription = { sdp: ANSWER };
    restarts(status);
    await expect(session.restart(peer as never)).rejects.toBeInstanceOf(ProblemError);
    expect(peer.remote).toEqual({ type: 'answer', sdp: 'answer' });
  });

  it('needs a session', async () => {
    const { peer, session } = rig();
    await expect(session.restart(peer as never)).rejects.toThrow('no session');
  });
});

it('writes a fragment as RFC 8840 has it', () => {
  const candidates = [{ candidate: 'candidate:1', sdpMid: '0' }] as RTCIceCandidate[];
  expect(sdpFragment(OFFER, candidates)).toBe(
    'a=ice-ufrag:abcd\r\na=ice-pwd:secret\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n' +
      'a=candidate:1\r\na=end-of-candidates\r\n',
  );
});
