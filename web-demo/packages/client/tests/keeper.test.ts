// Keeping one connection up: new paths first, a new session when there are none.
import { describe, expect, it, vi } from 'vitest';
import { DISCONNECTED_MS_MAX, Keeper, RESTART_MS_MAX } from '../src/video/keeper.ts';
import { settled, TestRuntime, TestTokens } from './harness.ts';

const SDP = 'v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n';
const RESTART = 'a=ice-ufrag:new\r\na=ice-pwd:newsecret\r\n';

class TestPeer extends EventTarget {
  connectionState: RTCPeerConnectionState = 'new';
  localDescription = { sdp: SDP };
  remoteDescription = { sdp: SDP };
  restarts = 0;
  createOffer = async ({ iceRestart }: RTCOfferOptions) => {
    if (iceRestart) this.restarts += 1;
    return { sdp: SDP };
  };
  setLocalDescription = async () => {};
  setRemoteDescription = async () => {};
  close = vi.fn();
  becomes(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }
}

/** A keeper whose first session is up. */
async function rig(answerToRestart: () => Promise<Response>) {
  const runtime = new TestRuntime();
  const peers: TestPeer[] = [];
  const requests: string[] = [];
  const fetch = (async (url: string, init: RequestInit) => {
    requests.push(`${init.method} ${new URL(url).pathname}`);
    if (init.method === 'PATCH') return answerToRestart();
    if (init.method === 'DELETE') return new Response(null, { status: 200 });
    const headers = { location: `/session/${peers.length}`, etag: '"e"' };
    return new Response(SDP, { status: 201, headers });
  }) as unknown as typeof globalThis.fetch;
  const makePeer = () => {
    const peer = new TestPeer();
    peers.push(peer);
    return peer as unknown as RTCPeerConnection;
  };
  const options = { url: 'https://shop.test/whep', tokens: new TestTokens() };
  const keeper = new Keeper({ ...options, fetch, makePeer, runtime }, () => {});
  keeper.start();
  await settled();
  const [peer] = peers as [TestPeer];
  peer.becomes('connected');
  return { runtime, keeper, peer, peers, requests };
}

const restarted = async () => new Response(RESTART, { status: 200, headers: { etag: '"f"' } });

describe('a connection that breaks', () => {
  it('gets new paths after a moment, and keeps its session', async () => {
    const { runtime, keeper, peer, requests } = await rig(restarted);
    peer.becomes('disconnected');
    await runtime.pass(DISCONNECTED_MS_MAX - 1);
    expect(peer.restarts).toBe(0);
    await runtime.pass(1);
    await settled();
    expect(keeper.state.value).toEqual({ state: 'reconnecting', attempt: 0 });
    peer.becomes('connected');
    await settled();
    expect(keeper.state.value).toEqual({ state: 'connected' });
    await runtime.pass(60_000);
    expect(requests).toEqual(['POST /whep', 'PATCH /session/1']);
  });

  it('heals by itself without a word', async () => {
    const { runtime, peer, requests } = await rig(restarted);
    peer.becomes('disconnected');
    await runtime.pass(DISCONNECTED_MS_MAX - 1);
    peer.becomes('connected');
    await runtime.pass(60_000);
    expect(requests).toEqual(['POST /whep']);
  });

  it('restarts at once when it failed, or when the network is back', async () => {
    const failed = await rig(restarted);
    failed.peer.becomes('failed');
    await settled();
    expect(failed.requests).toEqual(['POST /whep', 'PATCH /session/1']);
    const back = await rig(restarted);
    back.peer.becomes('disconnected');
    back.keeper.nudge();
    await settled();
    expect(back.requests).toEqual(['POST /whep', 'PATCH /session/1']);
  });

  it.each([
    ['refuses', async () => new Response('', { status: 404 })],
    ['does not answer', async () => Promise.reject(new TypeError('network'))],
  ])('gets a new session when the server %s', async (_name, answer) => {
    const { runtime, keeper, peer, peers, requests } = await rig(answer);
    peer.becomes('failed');
    await settled();
    expect(peer.close).toHaveBeenCalled();
    await runtime.pass(1_000);
    await settled();
    expect(requests.at(-1)).toBe('POST /whep');
    peers[1]?.becomes('connected');
    expect(keeper.state.value).toEqual({ state: 'connected' });
  });

  it('gets a new session when no new path carries', async () => {
    const { runtime, peer, peers, requests } = await rig(restarted);
    peer.becomes('failed');
    await settled();
    await runtime.pass(RESTART_MS_MAX);
    await settled();
    await runtime.pass(1_000);
    await settled();
    expect(peers).toHaveLength(2);
    expect(requests).toContain('DELETE /session/1');
  });

  it('is left alone once it was stopped', async () => {
    const { runtime, keeper, peer, peers } = await rig(restarted);
    peer.becomes('failed');
    await settled();
    await keeper.stop();
    await runtime.pass(60_000);
    expect(keeper.state.value).toEqual({ state: 'idle' });
    expect(peers).toHaveLength(1);
  });
});

it('restarts when asked to, once at a time', async () => {
  const { keeper, peer, requests } = await rig(restarted);
  const [first, second] = [keeper.restartIce(), keeper.restartIce()];
  expect(await second).toBe(false);
  expect(await first).toBe(true);
  expect(peer.restarts).toBe(1);
  expect(requests).toEqual(['POST /whep', 'PATCH /session/1']);
});
