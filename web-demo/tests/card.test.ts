// What a card says: the buyer's own state first, then the show's, then the stock.
import { describe, expect, it } from 'vitest';
import type { OrderState, Stock } from '@vetrina/client';
import { allowance, cardOf } from '../src/watch/card';
import { listing, NO_MINE, order, reservation } from '../packages/client/tests/harness';

const NOW = 1_000_000;
const stock = (change: Partial<Stock>): Stock => ({
  ...{ total: 10, reserved: 0, claimed: 0, paid: 0, available: 10, waiting: 0 },
  ...change,
});
const bought = (state: OrderState, quantity = 1) => {
  const money = { amount_minor: 1, currency: 'EUR' };
  const line = { reservation: 'r', listing: 'a', title: '', unit_price: money, total: money };
  return order(`o-${state}`, { state, pay_by_ms: NOW + 5_000, lines: [{ ...line, quantity }] });
};
const mine = (change: Partial<typeof NO_MINE>) => ({ ...NO_MINE, ...change });
const vase = listing('a', { stock: stock({}) });

describe('the stock', () => {
  it.each([
    ['plenty', stock({}), { kind: 'onSale', few: false }],
    ['few', stock({ available: 5 }), { kind: 'onSale', few: true }],
    [
      'sold out',
      stock({ available: 0, claimed: 10 }),
      { kind: 'soldOut', allReserved: false, wouldBe: 1 },
    ],
    [
      'all reserved',
      stock({ available: 0, reserved: 2, claimed: 8, waiting: 3 }),
      { kind: 'soldOut', allReserved: true, wouldBe: 4 },
    ],
    [
      'others queue first',
      stock({ available: 1, claimed: 9, waiting: 1 }),
      { kind: 'soldOut', allReserved: true, wouldBe: 2 },
    ],
  ])('%s', (_what, now, card) => {
    expect(cardOf(listing('a', { stock: now }), 'live', NO_MINE, NOW)).toEqual(card);
  });
});

describe('the show', () => {
  it('sells while it is live or interrupted', () => {
    const kind = (state: Parameters<typeof cardOf>[1]) => cardOf(vase, state, NO_MINE, NOW).kind;
    const states = ['scheduled', 'live', 'interrupted', 'ended', 'replay'] as const;
    expect(states.map(kind)).toEqual(['coming', 'onSale', 'onSale', 'over', 'over']);
  });
});

describe('the buyer', () => {
  it('has a reservation, with a warning at 20 s', () => {
    const at = (left: number) => {
      const reservations = [reservation('r', { expires_at_ms: NOW + left })];
      return cardOf(vase, 'ended', mine({ reservations }), NOW);
    };
    expect(at(20_001)).toMatchObject({ kind: 'reserved', leftMs: 20_001, urgent: false });
    expect(at(20_000)).toMatchObject({ urgent: true });
  });

  it('has an offer of the waitlist', () => {
    const reservations = [reservation('r', { from_waitlist: true })];
    expect(cardOf(vase, 'live', mine({ reservations }), NOW).kind).toBe('offer');
  });

  it('has an order before a place, and what is unpaid before what is paid', () => {
    const waitlist = [{ listing: 'a', quantity: 1, position: 2 }];
    const kind = (...states: OrderState[]) =>
      cardOf(vase, 'live', mine({ waitlist, orders: states.map((one) => bought(one)) }), NOW).kind;
    expect(kind('paid', 'declined')).toBe('unpaid');
    expect(kind('pending')).toBe('unpaid');
    expect(kind('expired', 'canceled', 'refunded')).toBe('waiting');
  });

  it('may buy another up to the limit', () => {
    const card = (quantity: number) => {
      const orders = [bought('paid', quantity)];
      return cardOf(vase, 'live', mine({ orders }), NOW);
    };
    expect(card(1)).toMatchObject({ kind: 'paid', another: true });
    expect(card(2)).toMatchObject({ kind: 'paid', another: false });
    const both = mine({ reservations: [reservation('r')], orders: [bought('expired', 2)] });
    expect(allowance(vase, both)).toBe(1);
  });
});
