// The channel's promises: Hello first, resume without gaps, commands never doubled, never lost.
import { describe, expect, it, vi } from 'vitest';
import { CLOSE_CODES, type ServerMessage } from '../src/generated/wire.ts';
import { UNSENT_MS_MAX } from '../src/channel/commands.ts';
import {
  NO_MINE,
  order,
  reservation,
  resumed,
  Rig,
  settled,
  snapshot,
  welcome,
} from './harness.ts';

const stock = (from: number, available: number, to = from): ServerMessage => ({
  type: 'Events',
  from,
  to,
  events: [
    {
      offset: to,
      at_ms: 1,
      event: {
        type: 'StockChanged',
        listing: 'a',
        stock: { total: 5, reserved: 5 - available, claimed: 0, paid: 0, available, waiting: 0 },
      },
    },
  ],
});

const available = (rig: Rig) => rig.channel.view.value?.listings[0]?.stock.available;

describe.each(['msgpack', 'json'] as const)('over %s', (encoding) => {
  it('says Hello first and shows the snapshot', async () => {
    const rig = new Rig({ encoding });
    const socket = await rig.opened();
    expect(socket.url).toBe('wss://shop.test/v1/shows/show/channel');
    expect(socket.protocol).toBe(`vetrina.v1.${encoding}`);
    expect(socket.hello()).toEqual({ type: 'Hello', token: 'token-1' });
    expect(rig.channel.connection.value.state).toBe('open');
    expect(rig.channel.view.value?.show.title).toBe('Sale');
    expect(rig.channel.me.value?.user).toBe('me');
    expect(rig.channel.serverNow()).toBe(5_000_000);
    socket.says(stock(11, 4));
    expect(available(rig)).toBe(4);
  });
});

describe('resume', () => {
  it('continues from the last offset, counting conflated ones', async () => {
    const rig = new Rig();
    const first = await rig.opened();
    first.says(stock(11, 4), stock(12, 2, 19));
    const second = await rig.returns();
    expect(second.hello().resume).toEqual({ epoch: 1, offset: 19 });
    second.says(resumed(19), stock(20, 1));
    expect(available(rig)).toBe(1);
  });

  it('leaves on a gap and resumes from the last good offset', async () => {
    const rig = new Rig();
    const first = await rig.opened();
    first.says(stock(11, 4), stock(13, 0));
    expect(first.closedWith).toBe(4900);
    expect(available(rig)).toBe(4);
    await rig.waits();
    const second = await rig.connects();
    expect(second.hello().resume).toEqual({ epoch: 1, offset: 11 });
  });

  it.each([
    ['again', 11],
    ['too far back', 9],
  ])('leaves on an offset %s', async (_what, from) => {
    const rig = new Rig();
    const socket = await rig.opened();
    socket.says(stock(11, 4), stock(from, 0));
    expect(socket.closedWith).toBe(4900);
    expect(available(rig)).toBe(4);
  });

  it('throws the old state away on reset and tells what is gone', async () => {
    const rig = new Rig();
    const returned = vi.fn();
    rig.channel.on('returned', returned);
    const lost = reservation('r1', { expires_at_ms: 9_000_000 });
    const expired = reservation('r2', { expires_at_ms: 4_000_000 });
    const kept = reservation('r3');
    const bought = reservation('r4');
    await rig.opened(
      welcome({ mine: { ...NO_MINE, reservations: [lost, expired, kept, bought], version: 4 } }),
    );
    const second = await rig.returns();
    const line = { reservation: 'r4', listing: 'a', title: 'Vase', quantity: 1 };
    const money = { amount_minor: 1, currency: 'EUR' };
    second.says(
      welcome({
        epoch: 2,
        offset: 3,
        reset: 'lost',
        snapshot: snapshot({ viewers: 7 }),
        mine: {
          ...NO_MINE,
          reservations: [kept],
          orders: [order('o', { lines: [{ ...line, unit_price: money, total: money }] })],
          version: 1,
        },
      }),
    );
    expect(returned).toHaveBeenCalledWith({
      reset: 'lost',
      gone: [
        { reservation: lost, why: 'lost' },
        { reservation: expired, why: 'expired' },
      ],
    });
    expect(rig.channel.position).toEqual({ epoch: 2, offset: 3 });
    expect(rig.channel.viewers.value).toBe(7);
    expect(rig.channel.mine.value.version).toBe(1);
  });

  it('does not believe a Welcome with neither state nor continuation', async () => {
    const rig = new Rig();
    const socket = await rig.opened(resumed(10));
    expect(socket.closedWith).toBe(4900);
    await rig.waits();
    expect((await rig.connects()).hello().resume).toBeUndefined();
  });

  it('backs off further every time and starts over after a good session', async () => {
    const rig = new Rig();
    rig.channel.open();
    await settled();
    const waits: number[] = [];
    for (let attempt = 0; attempt < 7; attempt += 1) {
      const before = rig.runtime.now;
      rig.socket.breaks();
      const { value } = rig.channel.connection;
      if (value.state !== 'reconnecting') throw new Error(value.state);
      waits.push(value.retryAt - before);
      await rig.runtime.pass(value.retryAt - before);
    }
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 7500, 7500]);
    (await rig.connects()).says(welcome());
    await rig.runtime.pass(6_000);
    rig.socket.breaks();
    expect(rig.channel.connection.value).toMatchObject({ state: 'reconnecting', attempt: 1 });
  });

  it('gives up an attempt that hangs when nudged', async () => {
    const rig = new Rig();
    rig.channel.open();
    await settled();
    rig.channel.nudge();
    await rig.waits();
    expect(rig.sockets).toHaveLength(2);
    expect(rig.sockets[0]?.closedWith).toBe(4000);
    (await rig.connects()).says(welcome());
    expect(rig.channel.connection.value.state).toBe('open');
  });

  it('finds a dead connection soon when nudged', async () => {
    const rig = new Rig();
    const socket = await rig.opened();
    rig.channel.nudge();
    await rig.runtime.pass(4_001);
    expect(socket.closedWith).toBe(4902);
    expect(rig.sockets).toHaveLength(2);
  });

  it('tries at once when nudged', async () => {
    const rig = new Rig();
    await rig.opened();
    rig.socket.breaks();
    rig.channel.nudge();
    await settled();
    expect(rig.sockets).toHaveLength(2);
  });
});

describe('close codes', () => {
  it.each(Object.entries(CLOSE_CODES))('%s is obeyed', async (code, { next, reason }) => {
    const rig = new Rig();
    await rig.opened();
    rig.socket.breaks(Number(code));
    await rig.waits();
    expect(rig.sockets).toHaveLength(next === 'stay' ? 1 : 2);
    expect(rig.tokens.rejected).toEqual(next === 'authenticate' ? ['token-1'] : []);
    if (next === 'stay') {
      expect(rig.channel.connection.value).toEqual({ state: 'closed', code: Number(code), reason });
    } else {
      const hello = (await rig.connects()).hello();
      expect(hello.token).toBe(next === 'authenticate' ? 'token-2' : 'token-1');
      expect(hello.resume).toEqual({ epoch: 1, offset: 10 });
    }
  });

  it('ends when no token can be had', async () => {
    const rig = new Rig();
    rig.tokens.failing = new Error('refused');
    rig.channel.open();
    await settled();
    expect(rig.channel.connection.value).toMatchObject({ state: 'closed', code: 4003 });
  });

  it('keeps trying while the token server is away', async () => {
    const rig = new Rig();
    rig.tokens.failing = new Error('away');
    rig.channel.open();
    await settled();
    expect(rig.channel.connection.value.state).toBe('reconnecting');
    rig.tokens.failing = undefined;
    await rig.waits();
    expect(rig.sockets).toHaveLength(1);
  });

  it('reconnects when told to go away, at the time it was told', async () => {
    const rig = new Rig();
    const socket = await rig.opened();
    socket.says({ type: 'GoAway', reconnect_after_ms: 700 });
    await rig.runtime.pass(699);
    expect(rig.sockets).toHaveLength(1);
    await rig.runtime.pass(2);
    expect(rig.sockets).toHaveLength(2);
    expect(socket.closedWith).toBe(1000);
  });
});

describe('a silent connection', () => {
  it('is left after an unanswered ping', async () => {
    const rig = new Rig();
    const socket = await rig.opened();
    await rig.runtime.pass(10_001);
    expect(socket.closedWith).toBe(4902);
  });

  it('stays while pings are answered, and sets the clock', async () => {
    const rig = new Rig();
    const socket = await rig.opened();
    for (let round = 0; round < 5; round += 1) {
      await rig.runtime.pass(100);
      const ping = socket.heard.findLast(({ type }) => type === 'Ping');
      if (ping?.type !== 'Ping') throw new Error('no ping');
      socket.says({ type: 'Pong', id: ping.id, server_time_ms: rig.runtime.now + 777 - 50 });
      await rig.runtime.pass(9_900);
    }
    expect(socket.closedWith).toBeUndefined();
    expect(rig.channel.serverNow() - rig.runtime.now).toBe(777);
    expect(rig.channel.roundTrip).toBe(100);
  });

  it('is asked again soon when the first answer took its time', async () => {
    const rig = new Rig();
    const socket = await rig.opened();
    const answered = new Set<number>();
    const pong = (late: number) => {
      for (const message of socket.heard) {
        if (message.type !== 'Ping' || answered.has(message.id)) continue;
        answered.add(message.id);
        const server_time_ms = rig.runtime.now + 777 - late;
        socket.says({ type: 'Pong', id: message.id, server_time_ms });
      }
    };
    await rig.runtime.pass(400);
    pong(0);
    expect(rig.channel.serverNow() - rig.runtime.now).toBe(777 + 200);
    await rig.runtime.pass(700);
    pong(0);
    expect(rig.channel.roundTrip).toBe(100);
    expect(rig.channel.serverNow() - rig.runtime.now).toBe(777 + 50);
    expect(answered.size).toBe(2);
  });

  it('is given up when no Welcome comes', async () => {
    const rig = new Rig();
    rig.channel.open();
    const socket = await rig.connects();
    await rig.runtime.pass(10_001);
    expect(socket.closedWith).toBe(4000);
  });
});

describe('commands', () => {
  const reserve = { type: 'Reserve', listing: 'a', quantity: 1 } as const;

  it('are answered by id', async () => {
    const rig = new Rig();
    const socket = await rig.opened();
    const [first, second] = [rig.channel.command(reserve), rig.channel.command(reserve)];
    const [one, two] = socket.commands();
    if (one?.type !== 'Reserve' || two?.type !== 'Reserve') throw new Error('not sent');
    expect(one.key).not.toBe(two.key);
    expect(one).not.toHaveProperty('media_time');
    socket.says({ type: 'Ok', id: two.id, reservation: reservation('r2') });
    socket.says({ type: 'Refused', id: one.id, code: 'sold_out', message: 'Sold out.' });
    expect(await second).toMatchObject({ ok: true, done: { reservation: { id: 'r2' } } });
    expect(await first).toEqual({
      ok: false,
      refusal: { code: 'sold_out', message: 'Sold out.', advice: 'stop' },
    });
  });

  it('go out again with the same id and key until they are answered', async () => {
    const rig = new Rig();
    const first = await rig.opened();
    const answer = rig.channel.command(reserve);
    const [sent] = first.commands();
    const second = await rig.returns();
    expect(second.commands()).toEqual([]);
    second.says(resumed(10));
    expect(second.commands()).toEqual([sent]);
    const third = await rig.returns();
    third.says(resumed(10));
    expect(third.commands()).toEqual([sent]);
    if (sent?.type !== 'Reserve') throw new Error('not sent');
    third.says({ type: 'Ok', id: sent.id, reservation: reservation('r') });
    expect((await answer).ok).toBe(true);
    const fourth = await rig.returns();
    fourth.says(resumed(10));
    expect(fourth.commands()).toEqual([]);
  });

  it('wait for the connection, but not for ever', async () => {
    const rig = new Rig();
    rig.channel.open();
    await settled();
    const early = rig.channel.command(reserve);
    (await rig.connects()).says(welcome());
    expect(rig.socket.commands()).toHaveLength(1);
    rig.socket.breaks();
    const late = rig.channel.command(reserve);
    await rig.runtime.pass(UNSENT_MS_MAX);
    expect(await late).toMatchObject({ ok: false, refusal: { code: 'offline' } });
    rig.channel.close();
    expect(await early).toMatchObject({ ok: false, refusal: { code: 'closed' } });
  });

  it('obey try_again with the same key, three times', async () => {
    const rig = new Rig();
    const socket = await rig.opened();
    const answer = rig.channel.command(reserve);
    for (let turn = 0; turn < 4; turn += 1) {
      const sent = socket.commands();
      expect(sent).toHaveLength(turn + 1);
      expect(new Set(sent.map((one) => JSON.stringify(one))).size).toBe(1);
      const [one] = sent;
      if (one?.type !== 'Reserve') throw new Error('not sent');
      socket.says({
        type: 'Refused',
        id: one.id,
        code: 'try_again',
        message: '',
        retry_after_ms: 100,
      });
      await rig.runtime.pass(200);
    }
    expect(await answer).toMatchObject({ ok: false, refusal: { code: 'try_again' } });
  });

  it('are split into frames of at most 64 after a break', async () => {
    const rig = new Rig();
    await rig.opened();
    for (let count = 0; count < 100; count += 1) void rig.channel.command(reserve);
    expect(await rig.channel.command(reserve)).toMatchObject({ ok: false });
    const second = await rig.returns();
    second.says(resumed(10));
    expect(second.commands()).toHaveLength(100);
    expect(Math.max(...second.frames)).toBe(64);
  });

  it('without effect are not repeated', async () => {
    const rig = new Rig();
    await rig.opened();
    rig.channel.react('heart');
    const second = await rig.returns();
    rig.channel.react('heart');
    second.says(resumed(10));
    expect(second.commands()).toEqual([]);
  });
});

describe('private facts', () => {
  it('older than mine.version change nothing', async () => {
    const rig = new Rig();
    const socket = await rig.opened(
      welcome({ mine: { ...NO_MINE, reservations: [reservation('r')], version: 5 } }),
    );
    const change = (version: number, state: 'expired' | 'reserved'): ServerMessage => ({
      type: 'Private',
      version,
      event: { type: 'ReservationChanged', reservation: reservation('r', { state }) },
    });
    socket.says(change(5, 'expired'));
    expect(rig.channel.mine.value.reservations).toHaveLength(1);
    socket.says(change(6, 'expired'));
    expect(rig.channel.mine.value.reservations).toHaveLength(0);
    socket.says(change(6, 'reserved'));
    expect(rig.channel.mine.value.reservations).toHaveLength(0);
  });
});

it('sends a refreshed token on the open session', async () => {
  const rig = new Rig();
  const socket = await rig.opened();
  rig.tokens.fresh('token-9');
  expect(socket.commands()).toMatchObject([{ type: 'RefreshToken', token: 'token-9' }]);
});

it('ignores what a newer server says', async () => {
  const rig = new Rig();
  const socket = await rig.opened();
  socket.says({ type: 'Fireworks' } as unknown as ServerMessage, {
    type: 'Events',
    from: 11,
    to: 11,
    events: [{ offset: 11, at_ms: 1, event: { type: 'Auction' } as never }],
  });
  expect(rig.channel.position?.offset).toBe(11);
  expect(rig.channel.connection.value.state).toBe('open');
});
