// How facts change what a page sees. Pure: (state, fact) -> state; a part that did not change
// stays the same object. Facts of kinds unknown to this client change nothing.
import type {
  Comment,
  Desk,
  DeskEvent,
  Listing,
  LoggedEvent,
  Mine,
  Order,
  Pin,
  PrivateEvent,
  Reservation,
  Show,
  Snapshot,
} from '../generated/wire.ts';

/** Most comments that are kept; older ones are forgotten. */
export const COMMENTS_KEPT_MAX = 200;
/** Most orders that the desk keeps; older ones are asked for by REST. */
export const DESK_ORDERS_KEPT_MAX = 500;

/** The public state of a show at one offset, without what is outside the log (viewers). */
export interface View {
  readonly show: Show;
  /** In the run of show's order. */
  readonly listings: readonly Listing[];
  /** The newest pin in the log. When to draw it is the frame clock's business. */
  readonly pin: Pin | undefined;
  /** The newest comments, oldest first, without those of muted people. */
  readonly comments: readonly Comment[];
  readonly slowModeSeconds: number;
  readonly muted: ReadonlySet<string>;
}

export function viewOf(snapshot: Snapshot): View {
  const muted = new Set(snapshot.muted);
  return {
    show: snapshot.show,
    listings: snapshot.listings,
    pin: snapshot.pin,
    comments: snapshot.comments
      .filter((comment) => !muted.has(comment.author.id))
      .slice(-COMMENTS_KEPT_MAX),
    slowModeSeconds: snapshot.slow_mode_s,
    muted,
  };
}

/** The view after one event of the log. */
export function foldEvent(view: View, { event, at_ms }: LoggedEvent): View {
  switch (event.type) {
    case 'ShowStateChanged': {
      const show: Show = { ...view.show, state: event.state };
      if (event.state === 'live') show.live_at_ms ??= at_ms;
      if (event.state === 'ended') show.ended_at_ms ??= at_ms;
      return { ...view, show };
    }
    case 'ListingChanged':
      return { ...view, listings: withListing(view.listings, event.listing) };
    case 'ListingsOrdered':
      return { ...view, listings: inOrder(view.listings, event.listings) };
    case 'Pinned':
      return { ...view, pin: event.pin };
    case 'Unpinned':
      return { ...view, pin: undefined };
    case 'StockChanged':
      return changeListing(view, event.listing, { stock: event.stock });
    case 'PriceChanged':
      return changeListing(view, event.listing, { price: event.price });
    case 'Commented':
      if (view.muted.has(event.comment.author.id)) return view;
      return { ...view, comments: [...view.comments, event.comment].slice(-COMMENTS_KEPT_MAX) };
    case 'CommentDeleted':
      return { ...view, comments: view.comments.filter(({ id }) => id !== event.comment) };
    case 'ViewerMuted': {
      const muted = new Set(view.muted);
      if (!event.muted) {
        muted.delete(event.viewer);
        return { ...view, muted };
      }
      muted.add(event.viewer);
      const comments = view.comments.filter(({ author }) => author.id !== event.viewer);
      return { ...view, muted, comments };
    }
    case 'SlowModeChanged':
      return { ...view, slowModeSeconds: event.seconds };
    default:
      return view;
  }
}

function changeListing(view: View, id: string, change: Partial<Listing>): View {
  return {
    ...view,
    listings: view.listings.map((one) => (one.id === id ? { ...one, ...change } : one)),
  };
}

function withListing(listings: readonly Listing[], listing: Listing): Listing[] {
  const others = listings.filter(({ id }) => id !== listing.id);
  return [...others, listing].sort((a, b) => a.position - b.position);
}

/** Those not named keep their order after the named ones. */
function inOrder(listings: readonly Listing[], ids: readonly string[]): Listing[] {
  const place = new Map(ids.map((id, position) => [id, position]));
  return listings
    .map((listing, at) => ({ listing, place: place.get(listing.id) ?? ids.length + at }))
    .sort((a, b) => a.place - b.place)
    .map(({ listing }, position) => ({ ...listing, position }));
}

const isOpen = ({ state }: Reservation) => state === 'reserved' || state === 'checking_out';

/** The buyer's private state after one fact of `version`; old news changes nothing. */
export function foldPrivate(mine: Mine, version: number, event: PrivateEvent): Mine {
  if (version <= mine.version) return mine;
  switch (event.type) {
    case 'ReservationChanged':
    case 'WaitlistOffer':
      return { ...mine, version, reservations: withReservation(mine, event.reservation) };
    case 'OrderChanged':
      return { ...mine, version, orders: withOrder(mine.orders, event.order) };
    case 'WaitlistChanged': {
      const others = mine.waitlist.filter(({ listing }) => listing !== event.listing);
      return { ...mine, version, waitlist: event.place ? [...others, event.place] : others };
    }
    default:
      return { ...(mine as Mine), version };
  }
}

function withReservation(mine: Mine, changed: Reservation): Reservation[] {
  const others = mine.reservations.filter(({ id }) => id !== changed.id);
  if (!isOpen(changed)) return others;
  return [...others, changed].sort((a, b) => a.expires_at_ms - b.expires_at_ms);
}

function withOrder(orders: readonly Order[], changed: Order): Order[] {
  const at = orders.findIndex(({ id }) => id === changed.id);
  const known = orders[at];
  if (!known) return [changed, ...orders];
  if (changed.version < known.version) return [...orders];
  return orders.map((order) => (order.id === changed.id ? changed : order));
}

/** The seller's desk after one fact of `version`. */
export function foldDesk(desk: Desk, version: number, event: DeskEvent): Desk {
  if (version <= desk.version) return desk;
  switch (event.type) {
    case 'ReservationChanged': {
      const { entry } = event;
      const others = desk.reservations.filter((one) => one.reservation.id !== entry.reservation.id);
      const reservations = isOpen(entry.reservation) ? [...others, entry] : others;
      return { ...desk, version, reservations };
    }
    case 'OrderChanged': {
      const { entry } = event;
      const known = desk.orders.some(({ order }) => order.id === entry.order.id);
      const orders = known
        ? desk.orders.map((one) => (one.order.id === entry.order.id ? entry : one))
        : [entry, ...desk.orders].slice(0, DESK_ORDERS_KEPT_MAX);
      return { ...desk, version, orders };
    }
    default:
      return { ...(desk as Desk), version };
  }
}

/** A reservation that was open before the connection broke and is not any more. */
export interface Gone {
  readonly reservation: Reservation;
  /** `expired`: its time ran out meanwhile; `lost`: the server does not know it. */
  readonly why: 'expired' | 'lost';
}

/** What of the buyer's open reservations did not survive; those that became orders did. */
export function goneBetween(before: Mine, after: Mine, serverNow: number): Gone[] {
  const open = new Set(after.reservations.map(({ id }) => id));
  const ordered = new Set(
    after.orders.flatMap(({ lines }) => lines.map(({ reservation }) => reservation)),
  );
  return before.reservations
    .filter(({ id }) => !open.has(id) && !ordered.has(id))
    .map((reservation) => ({
      reservation,
      why: reservation.expires_at_ms <= serverNow ? 'expired' : 'lost',
    }));
}
