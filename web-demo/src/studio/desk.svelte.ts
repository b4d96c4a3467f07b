// The studio's state: what the channel tells, what the host does, what can be undone. The channel
// decides; nothing here is shown as done before the server said so.
import {
  Channel,
  type Answer,
  type Command,
  type Listing,
  type Money,
  type Refusal,
  Timeline,
  type Tokens,
} from '@vetrina/client';
import { fromStore } from 'svelte/store';
import { backdate } from './backdate.svelte';

/** Something that just happened, told for a while. */
export interface Notice {
  readonly id: number;
  readonly what: Happened;
  readonly undo?: () => void;
}

/** What a notice tells; the page has the words. */
export type Happened =
  | { readonly type: 'refused'; readonly refusal: Refusal }
  | { readonly type: 'price'; readonly title: string; readonly price: Money }
  | { readonly type: 'stock'; readonly title: string; readonly total: number }
  | { readonly type: 'ordered' }
  | { readonly type: 'pinned_earlier'; readonly title: string; readonly seconds: number }
  | { readonly type: 'deleted'; readonly author: string }
  | { readonly type: 'muted'; readonly author: string; readonly muted: boolean }
  | { readonly type: 'copied'; readonly text: string }
  | { readonly type: 'source_ended' }
  | { readonly type: 'publish_refused'; readonly detail: string };

const NOTICES_MAX = 3;
/** Long enough to read and to reach "undo" by keyboard. */
const NOTICE_MS = 10_000;
/** Names of people whose comments were seen, for the list of the muted. */
const NAMES_MAX = 2_000;

export class Desk {
  readonly channel: Channel;
  readonly #connection;
  readonly #view;
  readonly #desk;
  readonly #viewers;

  notices: readonly Notice[] = $state.raw([]);
  /** A pin that was asked for and is not answered yet. */
  pinning: string | undefined = $state();
  /** The server's clock, once a second. */
  now = $state(0);

  readonly #timeline = new Timeline();
  readonly #names = new Map<string, string>();
  #nextNotice = 1;
  #timers = new Map<number, ReturnType<typeof setTimeout>>();
  #clock: ReturnType<typeof setInterval> | undefined;

  constructor(
    show: string,
    tokens: Tokens,
    channel = new Channel({ origin: location.origin, show, tokens }),
  ) {
    this.channel = channel;
    this.#connection = fromStore(this.channel.connection);
    this.#view = fromStore(this.channel.view);
    this.#desk = fromStore(this.channel.desk);
    this.#viewers = fromStore(this.channel.viewers);
    this.channel.view.subscribe((view) => {
      for (const { author } of view?.comments ?? []) this.#remember(author.id, author.name);
    });
    this.channel.on('event', ({ event, at_ms }) => {
      if (event.type === 'Pinned') this.#timeline.note(event.pin.media_time, at_ms);
      if (event.type === 'Unpinned') this.#timeline.note(event.media_time, at_ms);
    });
  }

  open(): void {
    this.channel.open();
    this.now = this.channel.serverNow();
    this.#clock ??= setInterval(() => (this.now = this.channel.serverNow()), 1_000);
  }

  close(): void {
    this.channel.close();
    clearInterval(this.#clock);
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  get connection() {
    return this.#connection.current;
  }
  get view() {
    return this.#view.current;
  }
  get desk() {
    return this.#desk.current;
  }
  get viewers() {
    return this.#viewers.current;
  }

  /** Display name of a person, as far as it was seen. */
  nameOf(viewer: string): string {
    return this.#names.get(viewer) ?? viewer;
  }

  /** Pins a listing, to the picture of now or of some seconds ago. */
  async pin(listing: string, secondsAgo = 0): Promise<void> {
    this.pinning = listing;
    // Without a picture there is no moment to go back to: the card comes at once.
    const seconds = this.view?.show.state === 'live' ? secondsAgo : 0;
    const at = this.#timeline.at(this.channel.serverNow() - seconds * 1_000);
    const answer = await this.#send({
      type: 'Pin',
      listing,
      ...(seconds > 0 ? { media_time: at } : {}),
    });
    this.pinning = undefined;
    if (!answer.ok || seconds === 0) return;
    backdate.choose(seconds);
    const title = this.view?.listings.find(({ id }) => id === listing)?.title ?? '';
    this.tell({ type: 'pinned_earlier', title, seconds });
  }

  async unpin(): Promise<void> {
    if (this.view?.pin) await this.#send({ type: 'Unpin' });
  }

  async setPrice(listing: Listing, price: Money): Promise<void> {
    const before = listing.price;
    if (price.amount_minor === before.amount_minor) return;
    const answer = await this.#send({ type: 'SetPrice', listing: listing.id, price });
    if (!answer.ok) return;
    this.tell({ type: 'price', title: listing.title, price }, () =>
      this.setPrice({ ...listing, price }, before),
    );
  }

  async setStock(listing: Listing, total: number): Promise<void> {
    const before = listing.stock;
    if (total === before.total) return;
    const answer = await this.#send({ type: 'SetStock', listing: listing.id, total });
    if (!answer.ok) return;
    const after = { ...listing, stock: { ...before, total } };
    this.tell({ type: 'stock', title: listing.title, total }, () =>
      this.setStock(after, before.total),
    );
  }

  async order(listings: readonly string[]): Promise<void> {
    const before = this.view?.listings.map(({ id }) => id) ?? [];
    if (before.join() === listings.join()) return;
    const answer = await this.#send({ type: 'OrderListings', listings: [...listings] });
    if (answer.ok) this.tell({ type: 'ordered' }, () => this.order(before));
  }

  async deleteComment(comment: string, author: string): Promise<void> {
    const answer = await this.#send({ type: 'DeleteComment', comment });
    if (answer.ok) this.tell({ type: 'deleted', author });
  }

  async mute(viewer: string, name: string, muted = true): Promise<void> {
    this.#remember(viewer, name);
    const answer = await this.#send({ type: 'MuteViewer', viewer, muted });
    if (!answer.ok) return;
    this.tell({ type: 'muted', author: name, muted }, () => this.mute(viewer, name, !muted));
  }

  async slowMode(seconds: number): Promise<void> {
    await this.#send({ type: 'SlowMode', seconds });
  }

  /** `true` when it was said. */
  async say(text: string): Promise<boolean> {
    return (await this.#send({ type: 'Comment', text })).ok;
  }

  /** Ends the show for good. `true` when it is over. */
  async endShow(): Promise<boolean> {
    return (await this.#send({ type: 'EndShow' })).ok;
  }

  /** Tells something for a while; a newer one pushes the oldest away. */
  tell(what: Happened, undo?: () => void): void {
    const id = this.#nextNotice++;
    const notice: Notice = undo ? { id, what, undo } : { id, what };
    for (const old of this.notices.slice(0, -(NOTICES_MAX - 1))) this.dismiss(old.id);
    this.notices = [...this.notices, notice];
    this.resume(id);
  }

  dismiss(id: number): void {
    this.pause(id);
    this.notices = this.notices.filter((notice) => notice.id !== id);
  }

  /** Keeps a notice while somebody points at it. */
  pause(id: number): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
  }

  resume(id: number): void {
    this.pause(id);
    this.#timers.set(id, setTimeout(() => this.dismiss(id), NOTICE_MS));
  }

  /** Takes the newest thing back that can be. */
  undoLast(): void {
    const last = this.notices.findLast((notice) => notice.undo);
    if (last) this.undo(last);
  }

  undo(notice: Notice): void {
    this.dismiss(notice.id);
    notice.undo?.();
  }

  async #send(command: Command): Promise<Answer> {
    const answer = await this.channel.command(command);
    if (!answer.ok) this.tell({ type: 'refused', refusal: answer.refusal });
    return answer;
  }

  #remember(viewer: string, name: string): void {
    if (this.#names.size >= NAMES_MAX && !this.#names.has(viewer)) {
      const oldest = this.#names.keys().next();
      if (!oldest.done) this.#names.delete(oldest.value);
    }
    this.#names.set(viewer, name);
  }
}
