// One WHIP or WHEP session over HTTP, against a peer connection that only counts.
import { describe, expect, it, vi } from 'vitest';
import { HttpSession, sdpFragment } from '../src/video/session.ts';
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
  remote: unknown;
  setLocalDescription = async () => {
    this.localDescription = { sdp: OFFER };
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
  const requests: { method: string; url: string; headers: Headers; body: unknown }[] = [];
  const fetch = (async (url: string, init: RequestInit) => {
    const headers = new Headers(init.headers);
    requests.push({ method: init.method ?? '', url, headers, body: init.body });
    if (init.method === 'DELETE') return new Response(null, { status: 200 });
    if (init.method === 'PATCH') return new Response(null, { status: 204 });
    if (status !== 201) return new Response('', { status, headers: { 'retry-after': '2' } });
    const answer = { location: '/v1/whep/s/one', etag: '"e1"', 'content-type': 'application/sdp' };
    return new Response('answer', { status, headers: answer });
  }) as unknown as typeof globalThis.fetch;
  const peer = new TestPeer();
  const url = 'https://shop.test/v1/whep/show';
  const tokens = new TestTokens();
  const session = new HttpSession({ url, tokens, fetch });
  return { requests, peer, session, tokens, open: () => session.open(peer as never) };
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

it('writes a fragment as RFC 8840 has it', () => {
  const candidates = [{ candidate: 'candidate:1', sdpMid: '0' }] as RTCIceCandidate[];
  expect(sdpFragment(OFFER, candidates)).toBe(
    'a=ice-ufrag:abcd\r\na=ice-pwd:secret\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n' +
      'a=candidate:1\r\na=end-of-candidates\r\n',
  );
});
