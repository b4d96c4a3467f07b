// The watch page's model: answers are busy until they come, refusals become a sentence, what is
// typed is not lost, and nobody is surprised by the end of a reservation.
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Answer, Command, Refusal, View } from '@vetrina/client';
import { listing, order, reservation, snapshot } from '../packages/client/tests/harness';

vi.hoisted(() => {
  const kept = new Map<string, string>();
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  };
  vi.stubGlobal('localStorage', storage);
  vi.stubGlobal('sessionStorage', storage);
  vi.stubGlobal('navigator', { languages: ['en-GB'] });
  vi.stubGlobal('document', { documentElement: { lang: '', dataset: {} } });
  vi.stubGlobal('history', { state: null, pushState: vi.fn() });
});

const { Shop } = await import('../src/watch/shop.svelte');

const refused = (code: Refusal['code']): Answer => ({
  ok: false,
  refusal: { code, message: '', advice: 'stop' },
});
const view: View = {
  show: snapshot().show,
  listings: [listing('a')],
  pin: undefined,
  comments: [],
  slowModeSeconds: 0,
  muted: new Set(),
};
const delivery = { name: 'A', lines: ['B 1'], postcode: '1', city: 'C', country: 'IT' };

function rig() {
  const sent: { command: Command; answer: (answer: Answer) => void }[] = [];
  const shop = new Shop({
    command: (command) => new Promise((answer) => sent.push({ command, answer })),
    heart: vi.fn(),
    rename: async () => true,
    mediaTime: () => 900,
    video: () => () => {},
  });
  shop.view = view;
  shop.now = 1_000_000;
  shop.delivery = undefined;
  const last = () => {
    const one = sent.at(-1);
    if (!one) throw new Error('nothing was sent');
    return one;
  };
  return { shop, sent, last };
}

beforeEach(() => vi.useFakeTimers());

describe('reserving', () => {
  it('is busy until the answer, once, and carries the frame on screen', async () => {
    const { shop, sent, last } = rig();
    const first = shop.reserve('a', 1);
    void shop.reserve('a', 1);
    expect(sent).toHaveLength(1);
    expect(last().command).toMatchObject({ type: 'Reserve', listing: 'a', media_time: 900 });
    expect(shop.busy('Reserve', 'a')).toBe(true);
    last().answer({ ok: true, done: { id: 1, reservation: reservation('r') } });
    await first;
    expect(shop.busy('Reserve', 'a')).toBe(false);
    expect(shop.bag.map(({ id }) => id)).toEqual(['r']);
  });

  it('keeps the frame that the buyer pointed at', () => {
    const { shop, last } = rig();
    void shop.reserve('a', 1, 500);
    expect(last().command).toMatchObject({ media_time: 500 });
  });

  it('says a refusal in the reader’s words', async () => {
    const { shop, last } = rig();
    const asked = shop.reserve('a', 1);
    last().answer(refused('sold_out'));
    expect(await asked).toBeUndefined();
    expect(shop.notice?.text).toBe('Sold out just now. You can join the waitlist.');
  });

  it('does not revive a reservation from an old answer', async () => {
    const { shop, last } = rig();
    const asked = shop.reserve('a', 1);
    const old = reservation('r', { expires_at_ms: shop.now - 1 });
    last().answer({ ok: true, done: { id: 1, reservation: old } });
    await asked;
    expect(shop.bag).toEqual([]);
  });
});

describe('buying now', () => {
  it('puts the units aside first while the address is unknown', async () => {
    const { shop, last } = rig();
    const buying = shop.buyNow('a', 1);
    expect(last().command.type).toBe('Reserve');
    last().answer({ ok: true, done: { id: 1, reservation: reservation('r') } });
    await buying;
    expect(shop.sheet).toEqual({ name: 'pay', reservations: ['r'] });
    const paying = shop.checkout(['r'], delivery, false);
    expect(last().command).toEqual({ type: 'Checkout', reservations: ['r'], delivery });
    last().answer({ ok: true, done: { id: 2, order: order('o') } });
    await paying;
    expect(shop.sheet).toEqual({ name: 'order', order: 'o' });
    expect(shop.order('o')).toBeDefined();
  });

  it('is one step when it is known', () => {
    const { shop, last } = rig();
    shop.delivery = delivery;
    void shop.buyNow('a', 2);
    expect(last().command).toMatchObject({ type: 'BuyNow', quantity: 2, delivery });
  });
});

describe('comments', () => {
  it('are shown at once, and come back into the field when refused', async () => {
    const { shop, last } = rig();
    shop.draft = '  bellissimo ';
    const said = shop.comment();
    expect(shop.draft).toBe('');
    expect(shop.outgoing.map(({ text }) => text)).toEqual(['bellissimo']);
    last().answer(refused('slow_mode'));
    await said;
    expect(shop.outgoing).toEqual([]);
    expect(shop.draft).toBe('bellissimo');
  });

  it('do not overwrite what was typed meanwhile', async () => {
    const { shop, last } = rig();
    shop.draft = 'one';
    const said = shop.comment();
    shop.draft = 'two';
    last().answer(refused('slow_mode'));
    await said;
    expect(shop.draft).toBe('two');
  });
});

describe('time', () => {
  it('warns once, 20 s before the end, and again after an extension', () => {
    const { shop } = rig();
    const at = (expires_at_ms: number) => {
      shop.mine = { ...shop.mine, reservations: [reservation('r', { expires_at_ms })] };
    };
    at(1_050_000);
    shop.tick(1_029_999);
    expect(shop.spoken).toBe('');
    shop.tick(1_030_000);
    expect(shop.spoken).toContain('20 seconds left for Vase a');
    shop.spoken = '';
    shop.tick(1_031_000);
    expect(shop.spoken).toBe('');
    at(1_150_000);
    shop.tick(1_131_000);
    expect(shop.spoken).not.toBe('');
  });

  it('says what is gone after a reconnect, and what happened to the money', () => {
    const { shop } = rig();
    shop.returned([{ reservation: reservation('r'), why: 'lost' }]);
    expect(shop.notice?.text).toContain('Nothing was charged');
  });
});

it('sends a few hearts a second at most', () => {
  const { shop } = rig();
  for (let count = 0; count < 20; count += 1) shop.heart();
  expect(shop.link.heart).toHaveBeenCalledTimes(4);
  expect(shop.hearts).toBe(4);
  vi.advanceTimersByTime(1_000);
  shop.heart();
  expect(shop.hearts).toBe(5);
});
