// Fills the page from the server: channel, video, frame clock. Everything that is drawn is in Shop.
import {
  Channel,
  FrameClock,
  Rest,
  Tokens,
  WhepPlayer,
  type Pin,
  type ReactionCount,
  type Show,
} from '@vetrina/client';
import { Shop, type Link } from './shop.svelte';

/** Countdowns move this often. */
const TICK_MS = 250;
/** Hearts of others drawn per message: more would be noise. */
const HEARTS_DRAWN_MAX = 8;

/** The show in the address: /watch/<show>. */
export function showInAddress(path: string): string | undefined {
  const id = /^\/watch\/([^/]+)\/?$/.exec(path)?.[1];
  return id === undefined ? undefined : decodeURIComponent(id);
}

/** `?delay_ms=2000` asks for a longer playout delay: a classroom's, or a test's. */
function delayInAddress(search: string): number | undefined {
  const delay = Number(new URLSearchParams(search).get('delay_ms') ?? Number.NaN);
  return delay > 0 && delay <= 4_000 ? delay : undefined;
}

export class LiveShow implements Link {
  readonly shop = new Shop(this);
  readonly #origin = location.origin;
  readonly #tokens: Tokens;
  readonly #rest: Rest;
  readonly #frames: FrameClock;
  #name: string | undefined;
  #channel: Channel;
  #player: WhepPlayer | undefined;
  #unwatch: (() => void)[] = [];
  #primed = false;
  #ownHearts = 0;

  constructor(private readonly show: string) {
    this.#tokens = new Tokens({
      origin: this.#origin,
      request: () => ({ grant: 'guest', show, ...(this.#name ? { name: this.#name } : {}) }),
      store: { storage: sessionStorage, key: `vetrina.grant.${show}` },
    });
    this.#rest = new Rest({ origin: this.#origin, tokens: this.#tokens });
    this.#frames = new FrameClock({
      receiver: () => this.#player?.videoReceiver,
      serverNow: () => this.#channel.serverNow(),
      roundTripMs: () => this.#channel.roundTrip,
    });
    this.#channel = this.#open();
    setInterval(() => this.shop.tick(this.#channel.serverNow()), TICK_MS);
    for (const change of ['online', 'offline']) addEventListener(change, () => this.#nudge());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#nudge();
    });
    addEventListener('pagehide', () => void this.#player?.stop());
    addEventListener('pageshow', ({ persisted }) => persisted && this.#player?.start());
  }

  command: Link['command'] = (command) => this.#channel.command(command);

  heart(): void {
    this.#ownHearts += 1;
    this.#channel.react('heart');
  }

  mediaTime(): number | undefined {
    return this.#frames.now?.mediaTime;
  }

  /** Another name is another guest: a new token and a new session. */
  async rename(name: string): Promise<boolean> {
    try {
      await this.#tokens.ask({ grant: 'guest', show: this.show, name });
    } catch {
      return false;
    }
    this.#name = name;
    for (const stop of this.#unwatch) stop();
    this.#channel.close();
    this.#channel = this.#open();
    return true;
  }

  video(element: HTMLVideoElement): () => void {
    this.#frames.attach(element);
    return () => this.#frames.detach();
  }

  #open(): Channel {
    const { shop, show } = this;
    const channel = new Channel({ origin: this.#origin, show, tokens: this.#tokens });
    this.#primed = false;
    this.#frames.clear();
    this.#unwatch = [
      channel.connection.subscribe((connection) => (shop.connection = connection)),
      channel.view.subscribe((view) => {
        if (!view) return;
        shop.view = view;
        this.#play(view.show);
        if (!this.#primed) this.#startFrom(view.pin);
      }),
      channel.mine.subscribe((mine) => (shop.mine = mine)),
      channel.me.subscribe((me) => (shop.me = me)),
      channel.viewers.subscribe((viewers) => (shop.viewers = viewers)),
      channel.on('event', ({ event, at_ms }) => {
        if (event.type === 'Pinned') this.#pin(event.pin);
        if (event.type === 'Unpinned') {
          this.#frames.stamped(event.media_time, at_ms);
          this.#frames.when(event.media_time, () => this.#shown(undefined));
        }
        if (event.type === 'ShowStateChanged' && event.state === 'live') this.#player?.nudge();
      }),
      channel.on('private', (event) => shop.told(event)),
      channel.on('reactions', (counts) => this.#hearts(counts)),
      channel.on('returned', ({ reset, gone }) => {
        if (reset) this.#startFrom(channel.view.value?.pin);
        shop.returned(gone);
      }),
    ];
    channel.open();
    return channel;
  }

  /** The pin of a snapshot; what waited for its frame belongs to a state that is gone. */
  #startFrom(pin: Pin | undefined): void {
    this.#primed = true;
    this.#frames.clear();
    if (pin) this.#pin(pin);
    else this.#shown(undefined);
  }

  #pin(pin: Pin): void {
    announce('vetrina:pin-heard', pin);
    this.#frames.stamped(pin.media_time, pin.pinned_at_ms);
    this.#frames.when(pin.media_time, () => this.#shown(pin));
  }

  #shown(pin: Pin | undefined): void {
    this.shop.pinned = pin;
    if (pin) announce('vetrina:pin-shown', pin);
  }

  /** Plays while the show is on air; before and after there is nothing to ask for. */
  #play({ state }: Show): void {
    const onAir = state === 'live' || state === 'interrupted';
    if (onAir === (this.#player !== undefined)) return;
    if (!onAir) {
      void this.#player?.stop();
      this.#player = undefined;
      this.shop.stream = undefined;
      this.shop.picture = false;
      return;
    }
    const delay = delayInAddress(location.search);
    const player = new WhepPlayer({
      url: async () => new URL((await this.#rest.show(this.show)).whep_url, this.#origin).href,
      tokens: this.#tokens,
      ...(delay === undefined ? {} : { jitterBufferTargetMs: delay }),
    });
    this.#player = player;
    player.state.subscribe((state) => (this.shop.videoState = state));
    player.stream.subscribe((stream) => {
      this.shop.picture = false;
      this.shop.stream = stream;
    });
    player.start();
  }

  #hearts(counts: readonly ReactionCount[]): void {
    const count = counts.reduce((sum, one) => sum + one.count, 0);
    const own = Math.min(count, this.#ownHearts); // drawn already, when they were pressed
    this.#ownHearts -= own;
    this.shop.hearts += Math.min(HEARTS_DRAWN_MAX, count - own);
  }

  #nudge(): void {
    this.#channel.nudge();
    this.#player?.nudge();
  }
}

/** So that a test can look at the screen at exactly these moments. */
function announce(name: string, pin: Pin): void {
  document.dispatchEvent(new CustomEvent(name, { detail: pin }));
}
