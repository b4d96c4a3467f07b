// What the card of one listing says to this buyer. Pure: the same facts give the same card, on the
// pinned card, in the list and in the product sheet.
import type { Listing, Mine, Order, Reservation, ShowState, WaitlistPlace } from '@vetrina/client';

/** From so many units on down the card says how many are left with emphasis. */
export const FEW = 5;
/** WCAG 2.2.1: warned, and offered more time, so long before a reservation ends. */
export const WARN_MS = 20_000;

export type Card =
  | { kind: 'coming' }
  | { kind: 'onSale'; few: boolean }
  | { kind: 'soldOut'; allReserved: boolean; wouldBe: number }
  | { kind: 'waiting'; place: WaitlistPlace }
  | { kind: 'reserved' | 'offer'; reservation: Reservation; leftMs: number; urgent: boolean }
  | { kind: 'checkingOut'; reservation: Reservation }
  | { kind: 'unpaid'; order: Order; leftMs: number }
  | { kind: 'paid'; order: Order; another: boolean }
  | { kind: 'over' };

export type Mines = Pick<Mine, 'reservations' | 'orders' | 'waitlist'>;

export function cardOf(listing: Listing, state: ShowState, mine: Mines, now: number): Card {
  const reservation = mine.reservations.find((one) => one.listing === listing.id);
  if (reservation?.state === 'checking_out') return { kind: 'checkingOut', reservation };
  if (reservation) {
    const leftMs = reservation.expires_at_ms - now;
    const kind = reservation.from_waitlist ? 'offer' : 'reserved';
    return { kind, reservation, leftMs, urgent: leftMs <= WARN_MS };
  }
  const orders = mine.orders.filter(({ lines }) =>
    lines.some((line) => line.listing === listing.id),
  );
  const unpaid = orders.find((order) => order.state === 'pending' || order.state === 'declined');
  if (unpaid) return { kind: 'unpaid', order: unpaid, leftMs: unpaid.pay_by_ms - now };
  const place = mine.waitlist.find((one) => one.listing === listing.id);
  if (place) return { kind: 'waiting', place };

  const onAir = state === 'live' || state === 'interrupted';
  const free = listing.stock.available > 0 && listing.stock.waiting === 0;
  const paid = orders.find((order) => order.state === 'paid');
  if (paid) {
    const another = onAir && free && allowance(listing, mine) > 0;
    return { kind: 'paid', order: paid, another };
  }
  if (state === 'scheduled') return { kind: 'coming' };
  if (!onAir) return { kind: 'over' };
  if (free) return { kind: 'onSale', few: listing.stock.available <= FEW };
  const { claimed, total, waiting } = listing.stock;
  return { kind: 'soldOut', allReserved: claimed < total, wouldBe: waiting + 1 };
}

/** How many more units of a listing this buyer may have. */
export function allowance(listing: Listing, mine: Mines): number {
  const reserved = mine.reservations
    .filter((one) => one.listing === listing.id)
    .reduce((sum, { quantity }) => sum + quantity, 0);
  const ordered = mine.orders
    .filter(({ state }) => state === 'pending' || state === 'declined' || state === 'paid')
    .flatMap(({ lines }) => lines)
    .filter((line) => line.listing === listing.id)
    .reduce((sum, { quantity }) => sum + quantity, 0);
  return Math.max(0, listing.per_buyer - reserved - ordered);
}
