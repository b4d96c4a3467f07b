// The desk: pins of now and of some seconds ago.
import { describe, expect, it, vi } from 'vitest';
import { Rig, snapshot, welcome } from '../../packages/client/tests/harness.ts';
import { Desk } from '../../src/studio/desk.svelte';

const SERVER_MS = 5_000_000;

async function rig(state: 'live' | 'interrupted' = 'live') {
  const client = new Rig();
  const desk = new Desk('show', client.tokens as never, client.channel);
  const { show } = snapshot();
  const socket = await client.opened(
    welcome({ role: 'host', snapshot: snapshot({ show: { ...show, state } }) }),
  );
  const command = vi.spyOn(client.channel, 'command');
  command.mockResolvedValue({ ok: true, done: { type: 'Ok', id: 1 } as never });
  const sent = () => command.mock.lastCall?.[0];
  return { desk, client, socket, sent, command };
}

describe('a pin', () => {
  it('of now leaves the frame to the server', async () => {
    const { desk, sent } = await rig();
    await desk.pin('a');
    expect(sent()).toEqual({ type: 'Pin', listing: 'a' });
    expect(desk.notices).toEqual([]);
  });

  it('of some seconds ago names the frame of then, and is told', async () => {
    const { desk, sent } = await rig();
    await desk.pin('a', 3);
    expect(sent()).toEqual({ type: 'Pin', listing: 'a', media_time: (SERVER_MS - 3_000) * 90 });
    expect(desk.notices.map(({ what }) => what)).toEqual([
      expect.objectContaining({ type: 'pinned_earlier', seconds: 3 }),
    ]);
  });

  it('counts from the timeline as pins before have told it', async () => {
    const { desk, socket, sent } = await rig();
    const event = {
      type: 'Pinned' as const,
      pin: { listing: 'b', pinned_at_ms: SERVER_MS, media_time: (SERVER_MS + 70) * 90 },
    };
    const logged = { offset: 11, at_ms: SERVER_MS, event };
    socket.says({ type: 'Events', from: 11, to: 11, events: [logged] });
    await desk.pin('a', 5);
    expect(sent()).toMatchObject({ media_time: (SERVER_MS - 5_000 + 70) * 90 });
  });

  it('has no moment to go back to while there is no picture', async () => {
    const { desk, sent } = await rig('interrupted');
    await desk.pin('a', 3);
    expect(sent()).toEqual({ type: 'Pin', listing: 'a' });
  });

  it('that is refused is told as such', async () => {
    const { desk, command } = await rig();
    const refusal = { code: 'invalid' as const, message: 'no', advice: 'change' as const };
    command.mockResolvedValue({ ok: false, refusal });
    await desk.pin('a', 20);
    expect(desk.notices.map(({ what }) => what.type)).toEqual(['refused']);
  });
});
