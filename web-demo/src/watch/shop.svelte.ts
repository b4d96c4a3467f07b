// What the watch page shows and what its buttons do. Knows no socket and no video: `live.ts` fills
// it from the server, the states gallery fills it from fixtures.
import type {
  Answer,
  Command,
  Connection,
  Delivery,
  Listing,
  Me,
  Mine,
  Order,
  Pin,
  PrivateEvent,
  Refusal,
  Reservation,
  VideoState,
  View,
} from '@vetrina/client';
import { SvelteSet } from 'svelte/reactivity';
import { locale } from '../words/locale.svelte';
import { refusalText } from '../words/refusals';
import { watchWords } from '../words/watch';
import { cardOf, WARN_MS, type Card } from './card';
import { storedDelivery, storeDelivery } from './delivery';

/** The way out to the server. */
export interface Link {
  command(command: Command): Promise<Answer>;
  heart(): void;
  /** Becomes a guest with this name; `false` when the server would not. */
  rename(name: string): Promise<boolean>;
  /** The media time on this screen. */
  mediaTime(): number | undefined;
  /** The page's <video>; the returned function is called when it goes away. */
  video(element: HTMLVideoElement): () => void;
}

export type Sheet =
  | { name: 'products' | 'bag' | 'orders' | 'share' | 'rename' | 'settings' }
  /** `mediaTime`: the frame that was on screen when the buyer pointed at it. */
  | { name: 'product'; listing: string; mediaTime: number | undefined }
  /** Where to send these reservations, then the order's payment. */
  | { name: 'pay'; reservations: readonly string[] }
  | { name: 'order'; order: string };

export interface Notice {
  readonly kind: 'good' | 'bad' | 'info';
  readonly text: string;
}

interface Outgoing {
  readonly number: number;
  readonly text: string;
  readonly id: string | undefined;
}

const NOTICE_MS = 6_000;
/** Hearts a person may send in a second. */
const HEARTS_MAX = 4;
const NOTHING: Mine = { reservations: [], orders: [], waitlist: [], version: 0 };

export class Shop {
  connection: Connection = $state.raw({ state: 'connecting' });
  view: View | undefined = $state.raw();
  mine: Mine = $state.raw(NOTHING);
  me: Me | undefined = $state.raw();
  viewers: number = $state(0);
  /** The pin whose frame this screen has reached. */
  pinned: Pin | undefined = $state.raw();
  /** The server's time, now and then. */
  now: number = $state(Date.now());

  stream: MediaStream | undefined = $state.raw();
  videoState: VideoState = $state.raw({ state: 'idle' });
  /** A frame has been painted since the stream started. */
  picture: boolean = $state(false);
  sound: boolean = $state(false);

  sheet: Sheet | undefined = $state.raw();
  notice: Notice | undefined = $state.raw();
  /** For a screen reader, at once. */
  spoken: string = $state('');
  /** What is typed and not sent: survives everything but a reload. */
  draft: string = $state('');
  outgoing: readonly Outgoing[] = $state.raw([]);
  delivery: Delivery | undefined = $state.raw(storedDelivery());
  /** Grows with every heart to be drawn. */
  hearts: number = $state(0);

  readonly listings: readonly Listing[] = $derived(this.view?.listings ?? []);
  readonly pinnedListing: Listing | undefined = $derived(
    this.listings.find(({ id }) => id === this.pinned?.listing),
  );
  readonly bag: readonly Reservation[] = $derived(
    this.mine.reservations.filter(({ state }) => state === 'reserved'),
  );
  readonly onAir: boolean = $derived(
    this.view?.show.state === 'live' || this.view?.show.state === 'interrupted',
  );
  /** A guest may change name while there is nothing that belongs to the old one. */
  readonly mayRename: boolean = $derived(
    this.me?.role === 'viewer' &&
      this.mine.reservations.length + this.mine.orders.length + this.mine.waitlist.length === 0 &&
      !this.view?.comments.some(({ author }) => author.id === this.me?.user),
  );

  readonly #busy = new SvelteSet<string>();
  readonly #warned = new Set<string>();
  #outgoingCount = 0;
  #noticeTimer: ReturnType<typeof setTimeout> | undefined;
  #heartTimes: number[] = [];

  constructor(readonly link: Link) {}

  get t() {
    return watchWords[locale.lang];
  }

  listing(id: string): Listing | undefined {
    return this.listings.find((one) => one.id === id);
  }

  order(id: string): Order | undefined {
    return this.mine.orders.find((one) => one.id === id);
  }

  card(listing: Listing): Card {
    return cardOf(listing, this.view?.show.state ?? 'scheduled', this.mine, this.now);
  }

  /** A command of this kind for this thing is on its way. */
  busy(what: Command['type'], id: string): boolean {
    return this.#busy.has(`${what} ${id}`);
  }

  // What buttons do. Each answers at once on the page (busy), then as the server decides.

  async reserve(listing: string, quantity: number, mediaTime = this.link.mediaTime()) {
    const at = mediaTime === undefined ? {} : { media_time: mediaTime };
    const answer = await this.#run(listing, { type: 'Reserve', listing, quantity, ...at });
    const reservation = answer?.ok ? answer.done.reservation : undefined;
    if (reservation) this.#reserved(reservation);
    return reservation;
  }

  /** One step where the address is known; else the units are put aside while it is typed. */
  async buyNow(listing: string, quantity: number, mediaTime = this.link.mediaTime()) {
    if (!this.delivery) {
      const reservation = await this.reserve(listing, quantity, mediaTime);
      if (reservation) this.show({ name: 'pay', reservations: [reservation.id] });
      return;
    }
    const at = mediaTime === undefined ? {} : { media_time: mediaTime };
    const { delivery } = this;
    const command = { type: 'BuyNow', listing, quantity, delivery, ...at } as const;
    const answer = await this.#run(listing, command);
    if (answer?.ok && answer.done.order) this.#ordered(answer.done.order);
  }

  pay(reservations: readonly string[]): void {
    this.show({ name: 'pay', reservations });
  }

  async checkout(reservations: readonly string[], delivery: Delivery, remember: boolean) {
    this.delivery = delivery;
    storeDelivery(delivery, remember);
    const bag = [...reservations];
    const answer = await this.#run('bag', { type: 'Checkout', reservations: bag, delivery });
    if (answer?.ok && answer.done.order) this.#ordered(answer.done.order);
  }

  async extend(reservation: Reservation) {
    const command = { type: 'ExtendReservation', reservation: reservation.id } as const;
    const answer = await this.#run(reservation.id, command);
    if (answer?.ok) this.say('good', this.t.timeExtended);
  }

  async release(reservation: Reservation) {
    const command = { type: 'ReleaseReservation', reservation: reservation.id } as const;
    const answer = await this.#run(reservation.id, command);
    if (answer?.ok) this.say('info', this.t.givenBack);
  }

  joinWaitlist(listing: string, quantity: number) {
    return this.#run(listing, { type: 'JoinWaitlist', listing, quantity });
  }

  leaveWaitlist(listing: string) {
    return this.#run(listing, { type: 'LeaveWaitlist', listing });
  }

  cancelOrder(order: string) {
    return this.#run(order, { type: 'CancelOrder', order });
  }

  /** Says the draft. It comes back into the field if it was refused and nothing new is typed. */
  async comment(): Promise<void> {
    const text = this.draft.trim();
    if (!text) return;
    this.draft = '';
    const number = (this.#outgoingCount += 1);
    this.outgoing = [...this.outgoing, { number, text, id: undefined }];
    const mediaTime = this.link.mediaTime();
    const at = mediaTime === undefined ? {} : { media_time: mediaTime };
    const answer = await this.link.command({ type: 'Comment', text, ...at });
    const forget = () => {
      this.outgoing = this.outgoing.filter((one) => one.number !== number);
    };
    if (!answer.ok) {
      forget();
      if (!this.draft) this.draft = text;
      this.#refused(answer.refusal);
      return;
    }
    const id = answer.done.comment;
    this.outgoing = this.outgoing.map((one) => (one.number === number ? { ...one, id } : one));
    setTimeout(forget, 2_000); // by then it is in the log, or a moderator took it off
  }

  /** A heart: drawn here at once, sent a few times a second at most. */
  heart(): void {
    const now = performance.now();
    this.#heartTimes = this.#heartTimes.filter((at) => now - at < 1_000);
    if (this.#heartTimes.length >= HEARTS_MAX) return;
    this.#heartTimes.push(now);
    this.hearts += 1;
    this.link.heart();
  }

  async rename(name: string): Promise<void> {
    if (await this.link.rename(name)) this.close();
    else this.say('bad', refusalText({ code: 'try_again', message: '' }, locale.lang));
  }

  // Sheets. One entry of the history belongs to them, so that Back closes a sheet and does not
  // leave the show. It stays when a sheet is closed: history.back() would be answered later, or by
  // the payment frame, whose own pages are entries of the same history.

  show(sheet: Sheet): void {
    this.sheet = sheet;
    const { state } = history as { state: { sheets?: boolean } | null };
    if (!state?.sheets) history.pushState({ sheets: true }, '');
  }

  close(): void {
    this.sheet = undefined;
  }

  // What the server tells.

  /** Time has passed, by the server's clock. */
  tick(now: number): void {
    this.now = now;
    for (const reservation of this.bag) {
      const left = reservation.expires_at_ms - now;
      const warning = `${reservation.id} ${reservation.expires_at_ms}`;
      if (left > WARN_MS || left <= 0 || this.#warned.has(warning)) continue;
      this.#warned.add(warning);
      this.spoken = this.t.warnTime(this.#title(reservation));
    }
  }

  told(event: PrivateEvent): void {
    switch (event.type) {
      case 'WaitlistOffer':
        return this.say('good', this.t.offerArrived(this.#title(event.reservation)));
      case 'ReservationChanged':
        if (event.reservation.state !== 'expired') return;
        return this.say('info', this.t.ranOut(this.#title(event.reservation)));
      case 'OrderChanged': {
        const { order } = event;
        const looking = this.sheet?.name === 'order' && this.sheet.order === order.id;
        if (looking) return; // the sheet says it
        if (order.state === 'paid') this.say('good', this.t.paidNotice(order.number));
        if (order.state === 'declined') this.say('bad', this.t.declinedNotice(order.number));
        return;
      }
      default:
    }
  }

  returned(gone: readonly { reservation: Reservation; why: 'expired' | 'lost' }[]): void {
    const [first] = gone;
    if (!first) return this.say('info', this.t.backAgain);
    const title = this.#title(first.reservation);
    this.say('bad', first.why === 'lost' ? this.t.gone(title) : this.t.goneExpired(title));
  }

  say(kind: Notice['kind'], text: string): void {
    this.notice = { kind, text };
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => (this.notice = undefined), NOTICE_MS);
  }

  #title(reservation: Reservation): string {
    return this.listing(reservation.listing)?.title ?? '';
  }

  // The private event may come after the answer; what the answer opens needs its thing now. A
  // repeated answer may be old, and tells of a reservation that is over.
  #reserved(reservation: Reservation): void {
    const known = this.mine.reservations.some(({ id }) => id === reservation.id);
    if (known || reservation.expires_at_ms <= this.now) return;
    this.mine = { ...this.mine, reservations: [...this.mine.reservations, reservation] };
  }

  #ordered(order: Order): void {
    if (!this.order(order.id)) {
      this.mine = { ...this.mine, orders: [order, ...this.mine.orders] };
    }
    this.show({ name: 'order', order: order.id });
  }

  #refused(refusal: Refusal): void {
    this.say('bad', refusalText(refusal, locale.lang));
  }

  async #run(id: string, command: Command): Promise<Answer | undefined> {
    const key = `${command.type} ${id}`;
    if (this.#busy.has(key)) return undefined;
    this.#busy.add(key);
    try {
      const answer = await this.link.command(command);
      if (!answer.ok) this.#refused(answer.refusal);
      return answer;
    } finally {
      this.#busy.delete(key);
    }
  }
}
