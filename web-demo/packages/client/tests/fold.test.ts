// How facts change the view: each kind of event, and the bounds.
import { describe, expect, it } from 'vitest';
import type { Comment, Event } from '../src/generated/wire.ts';
import {
  COMMENTS_KEPT_MAX,
  DESK_ORDERS_KEPT_MAX,
  foldDesk,
  foldEvent,
  foldPrivate,
  viewOf,
  type View,
} from '../src/channel/fold.ts';
import { listing, NO_MINE, order, reservation, snapshot } from './harness.ts';

const fold = (view: View, ...events: Event[]) =>
  events.reduce((now, event, at) => foldEvent(now, { offset: at, at_ms: 1000 + at, event }), view);

const comment = (id: string, author = 'anna'): Comment => ({
  id,
  author: { id: author, name: author, role: 'viewer' },
  text: id,
  at_ms: 1,
});
const said = (id: string, author?: string): Event => ({
  type: 'Commented',
  comment: comment(id, author),
});
const ids = (list: readonly { id: string }[]) => list.map(({ id }) => id);

describe('the view', () => {
  const start = viewOf(snapshot());

  it('follows the show', () => {
    const view = fold(start, { type: 'ShowStateChanged', state: 'ended' });
    expect(view.show).toMatchObject({ state: 'ended', ended_at_ms: 1000 });
  });

  it('follows listings, in order', () => {
    let view = fold(start, { type: 'ListingChanged', listing: listing('c', { position: 2 }) });
    expect(ids(view.listings)).toEqual(['a', 'b', 'c']);
    view = fold(view, { type: 'ListingsOrdered', listings: ['c'] });
    expect(ids(view.listings)).toEqual(['c', 'a', 'b']);
    expect(view.listings.map(({ position }) => position)).toEqual([0, 1, 2]);
    const price = { amount_minor: 99, currency: 'EUR' };
    view = fold(view, { type: 'PriceChanged', listing: 'a', price });
    expect(view.listings[1]?.price).toEqual(price);
    expect(view.listings[0]).toBe(fold(view, said('x')).listings[0]);
  });

  it('follows the pin', () => {
    const pin = { listing: 'a', pinned_at_ms: 5, media_time: 9000 };
    const view = fold(start, { type: 'Pinned', pin });
    expect(view.pin).toEqual(pin);
    expect(fold(view, { type: 'Unpinned' }).pin).toBeUndefined();
  });

  it('keeps the newest comments only', () => {
    const many = Array.from({ length: COMMENTS_KEPT_MAX + 5 }, (_, at) => said(`c${at}`));
    const view = fold(start, ...many);
    expect(view.comments).toHaveLength(COMMENTS_KEPT_MAX);
    expect(view.comments[0]?.id).toBe('c5');
  });

  it('takes deleted comments and those of muted people off', () => {
    let view = fold(start, said('1'), said('2', 'troll'), said('3'));
    view = fold(view, { type: 'CommentDeleted', comment: '1' });
    view = fold(view, { type: 'ViewerMuted', viewer: 'troll', muted: true }, said('4', 'troll'));
    expect(ids(view.comments)).toEqual(['3']);
    view = fold(view, { type: 'ViewerMuted', viewer: 'troll', muted: false }, said('5', 'troll'));
    expect(ids(view.comments)).toEqual(['3', '5']);
  });

  it('starts without the comments of muted people', () => {
    const comments = [comment('1', 'troll'), comment('2')];
    expect(ids(viewOf(snapshot({ comments, muted: ['troll'] })).comments)).toEqual(['2']);
  });

  it('follows slow mode', () => {
    expect(fold(start, { type: 'SlowModeChanged', seconds: 30 }).slowModeSeconds).toBe(30);
  });

  it('is the same object after an unknown event', () => {
    expect(fold(start, { type: 'Auction' } as never)).toBe(start);
  });
});

describe('mine', () => {
  it('holds open reservations, soonest first, and orders, newest first', () => {
    const change = (version: number, id: string, expires_at_ms: number) =>
      ({ version, reservation: reservation(id, { expires_at_ms }) }) as const;
    let mine = NO_MINE;
    for (const { version, reservation } of [change(1, 'late', 900), change(2, 'soon', 100)]) {
      mine = foldPrivate(mine, version, { type: 'ReservationChanged', reservation });
    }
    expect(ids(mine.reservations)).toEqual(['soon', 'late']);
    const claimed = reservation('soon', { state: 'claimed', order: 'o1' });
    mine = foldPrivate(mine, 3, { type: 'ReservationChanged', reservation: claimed });
    mine = foldPrivate(mine, 4, { type: 'OrderChanged', order: order('o1') });
    mine = foldPrivate(mine, 5, { type: 'OrderChanged', order: order('o2') });
    const paid = order('o1', { state: 'paid', version: 3 });
    mine = foldPrivate(mine, 6, { type: 'OrderChanged', order: paid });
    mine = foldPrivate(mine, 7, { type: 'OrderChanged', order: order('o1', { version: 2 }) });
    expect(ids(mine.reservations)).toEqual(['late']);
    expect(mine.orders.map(({ id, state }) => [id, state])).toEqual([
      ['o2', 'pending'],
      ['o1', 'paid'],
    ]);
  });

  it('holds places in queues and offers', () => {
    const place = { listing: 'a', quantity: 1, position: 3 };
    let mine = foldPrivate(NO_MINE, 1, { type: 'WaitlistChanged', listing: 'a', place });
    const moved = { ...place, position: 1 };
    mine = foldPrivate(mine, 2, { type: 'WaitlistChanged', listing: 'a', place: moved });
    expect(mine.waitlist).toEqual([moved]);
    mine = foldPrivate(mine, 3, { type: 'WaitlistChanged', listing: 'a' });
    const offer = reservation('w', { from_waitlist: true });
    mine = foldPrivate(mine, 4, { type: 'WaitlistOffer', reservation: offer });
    expect(mine).toMatchObject({ waitlist: [], reservations: [{ id: 'w' }], version: 4 });
  });
});

describe('the desk', () => {
  it('holds open reservations and a bounded list of orders', () => {
    let desk = { reservations: [], orders: [], version: 0 } as Parameters<typeof foldDesk>[0];
    const entry = { buyer: 'u', buyer_name: 'U', reservation: reservation('r') };
    desk = foldDesk(desk, 1, { type: 'ReservationChanged', entry });
    expect(desk.reservations).toHaveLength(1);
    const closed = { ...entry, reservation: reservation('r', { state: 'released' }) };
    desk = foldDesk(desk, 2, { type: 'ReservationChanged', entry: closed });
    expect(desk.reservations).toHaveLength(0);
    for (let at = 0; at < DESK_ORDERS_KEPT_MAX + 1; at += 1) {
      const bought = { buyer: 'u', buyer_name: 'U', order: order(`o${at}`) };
      desk = foldDesk(desk, 3 + at, { type: 'OrderChanged', entry: bought });
    }
    expect(desk.orders).toHaveLength(DESK_ORDERS_KEPT_MAX);
    expect(desk.orders[0]?.order.id).toBe(`o${DESK_ORDERS_KEPT_MAX}`);
    expect(foldDesk(desk, 3, { type: 'ReservationChanged', entry })).toBe(desk);
  });
});
