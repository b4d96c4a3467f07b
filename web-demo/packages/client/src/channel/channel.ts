// The channel of one show: opens the session, keeps it, comes back after it broke, and folds what
// it hears into state that a page can watch. It draws nothing and decides nothing.
import {
  CLOSE_CODES,
  type ClientMessage,
  type Desk,
  type Done,
  type Epoch,
  type Event,
  type LoggedEvent,
  type Mine,
  type Offset,
  type PrivateEvent,
  type Reaction,
  type ReactionCount,
  type RefusalCode,
  type ResetReason,
  type Return,
  type Role,
  type ServerMessage,
  type Welcome,
} from '../generated/wire.ts';
import { backoffMs, browserRuntime, type Runtime } from '../clock.ts';
import { Emitter, Observable, type Readable } from '../observable.ts';
import type { TokenSource } from '../rest/tokens.ts';
import { Codec, type Encoding } from './codec.ts';
import { Commands, type Answer, type Command } from './commands.ts';
import {
  foldDesk,
  foldEvent,
  foldPrivate,
  goneBetween,
  viewOf,
  type Gone,
  type View,
} from './fold.ts';
import { ServerClock } from './server_clock.ts';

/** Where the connection stands. */
export type Connection =
  | { readonly state: 'connecting' | 'open' }
  | { readonly state: 'reconnecting'; readonly attempt: number; readonly retryAt: number }
  | { readonly state: 'closed'; readonly code: number; readonly reason: string };

/** Who this session is. */
export interface Me {
  readonly session: string;
  readonly user: string;
  readonly name: string;
  readonly role: Role;
}

/** What the channel tells besides its state. */
export interface ChannelEvents {
  /** A fact of the log, after the view was changed by it. */
  event: LoggedEvent;
  /** A fact for this buyer, after `mine` was changed by it. */
  private: PrivateEvent;
  /** Reactions since the last time. */
  reactions: readonly ReactionCount[];
  /** The session came back; what of the buyer's reservations did not. `reset`: the old view was
   *  thrown away, for that reason. */
  returned: { readonly reset: ResetReason | undefined; readonly gone: readonly Gone[] };
  /** The session, not a command, was refused something. */
  refused: { readonly code: RefusalCode; readonly message: string };
}

/** What is needed of a WebSocket; tests bring their own. */
export interface Socket {
  binaryType: string;
  readonly protocol: string;
  onopen: (() => void) | null;
  onmessage: ((message: { data: unknown }) => void) | null;
  onclose: ((close: { code: number; reason: string }) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

export interface ChannelOptions {
  /** The server's origin, such as `location.origin`. */
  readonly origin: string;
  readonly show: string;
  readonly tokens: TokenSource;
  /** Default `msgpack`. */
  readonly encoding?: Encoding;
  readonly runtime?: Runtime;
  readonly connect?: (url: string, subprotocol: string) => Socket;
}

/** A session that does not open within this is tried anew. */
const OPEN_MS_MAX = 10_000;
/** A ping goes out so often. */
const PING_EVERY_MS = 10_000;
/** The first answers are slow while a page is busy with its start: these set the clock. */
const CLOCK_PINGS_MS = [1_000, 3_000];
/** A ping sent when there is a doubt is answered within this, or the connection is dead. */
const NUDGE_MS_MAX = 4_000;
/** A session that lasted so long was a good one: back-off starts over. */
const STABLE_MS = 5_000;
/** Our own close code: the sequence had a gap, we resume. */
const CLOSE_GAP = 4900;

const NOTHING: Mine = { reservations: [], orders: [], waitlist: [], version: 0 };

/** One show's channel. Make it, `open()` it, watch its state, send commands, `close()` it. */
export class Channel extends Emitter<ChannelEvents> {
  readonly #connection = new Observable<Connection>({ state: 'connecting' });
  readonly #view = new Observable<View | undefined>(undefined);
  readonly #mine = new Observable<Mine>(NOTHING);
  readonly #desk = new Observable<Desk | undefined>(undefined);
  readonly #me = new Observable<Me | undefined>(undefined);
  readonly #viewers = new Observable<number>(0);

  readonly #runtime: Runtime;
  readonly #codec: Codec;
  readonly #clock: ServerClock;
  readonly #commands: Commands;

  #socket: Socket | undefined;
  #welcomed = false;
  #position: { epoch: Epoch; offset: Offset } | undefined;
  #attempt = 0;
  #framesHeard = 0;
  #pings = new Map<number, number>();
  #sentToken: string | undefined;
  #timers: (() => void)[] = [];
  #retry: (() => void) | undefined;
  #watchToken: (() => void) | undefined;
  #closed = false;

  constructor(private readonly options: ChannelOptions) {
    super();
    this.#runtime = options.runtime ?? browserRuntime;
    this.#codec = new Codec(options.encoding ?? 'msgpack');
    this.#clock = new ServerClock(this.#runtime);
    this.#commands = new Commands(this.#runtime, (messages) => this.#send(messages));
  }

  /** Where the connection stands. */
  get connection(): Readable<Connection> {
    return this.#connection;
  }
  /** The show as everybody sees it; nothing before the first `Welcome`. */
  get view(): Readable<View | undefined> {
    return this.#view;
  }
  /** This buyer's reservations, orders and places in queues. */
  get mine(): Readable<Mine> {
    return this.#mine;
  }
  /** The seller's desk; nothing for viewers. */
  get desk(): Readable<Desk | undefined> {
    return this.#desk;
  }
  /** Who this session is. */
  get me(): Readable<Me | undefined> {
    return this.#me;
  }
  /** How many watch. */
  get viewers(): Readable<number> {
    return this.#viewers;
  }
  /** The last position of the log that is in the view. */
  get position(): { readonly epoch: Epoch; readonly offset: Offset } | undefined {
    return this.#position;
  }
  /** The shortest round trip lately, ms. */
  get roundTrip(): number | undefined {
    return this.#clock.roundTrip;
  }

  /** The server's time now, for countdowns. */
  serverNow(): number {
    return this.#clock.now();
  }

  open(): void {
    if (this.#socket || this.#retry || this.#closed) return;
    this.#watchToken = this.options.tokens.watch((token) => this.#tokenChanged(token));
    void this.#connect();
  }

  /** Ends the session for good. Commands that wait are answered `closed`. */
  close(): void {
    this.#end(1000, 'done');
  }

  /** The network may be another one (`online`, the page is visible again): find out at once. */
  nudge(): void {
    if (this.#closed) return;
    this.#attempt = 0;
    if (this.#welcomed) return this.#probe();
    // An attempt that began on the old network may hang for long.
    if (this.#socket) return this.#drop(4000, 'another network', true);
    if (!this.#retry) return;
    this.#retry();
    this.#retry = undefined;
    void this.#connect();
  }

  /** Sends a command; again, with the same key, if the connection breaks before the answer. */
  command(command: Command): Promise<Answer> {
    if (this.#closed) {
      const refusal = { code: 'closed', message: '', advice: 'stop' } as const;
      return Promise.resolve({ ok: false, refusal });
    }
    return this.#commands.run(command);
  }

  /** A heart or the like. Not answered, not repeated: without a connection it is dropped. */
  react(reaction: Reaction): void {
    this.#send([{ type: 'React', id: this.#commands.nextId(), reaction }]);
  }

  async #connect(): Promise<void> {
    let token: string;
    try {
      token = await this.options.tokens.get();
    } catch (error) {
      if (this.options.tokens.refused(error)) this.#end(4003, 'token not valid');
      else this.#later(this.#backoff());
      return;
    }
    if (this.#closed || this.#socket) return;
    const url = new URL(
      `/v1/shows/${encodeURIComponent(this.options.show)}/channel`,
      this.options.origin,
    );
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const connect = this.options.connect ?? openWebSocket;
    const socket = connect(url.href, this.#codec.subprotocol);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#welcomed = false;
    socket.onopen = () => {
      this.#sentToken = token;
      const hello: ClientMessage = { type: 'Hello', token };
      if (this.#position) hello.resume = this.#position;
      this.#write([hello]);
    };
    socket.onmessage = ({ data }) => this.#heard(socket, data);
    socket.onclose = ({ code, reason }) => this.#lost(socket, code, reason);
    this.#soon(OPEN_MS_MAX, () => {
      if (!this.#welcomed) this.#drop(4000, 'no welcome in time');
    });
  }

  #heard(socket: Socket, data: unknown): void {
    if (socket !== this.#socket) return;
    this.#framesHeard += 1;
    let messages: ServerMessage[];
    try {
      messages = this.#codec.decode(data);
    } catch {
      this.#drop(4901, 'malformed frame');
      return;
    }
    for (const message of messages) {
      if (socket !== this.#socket) return; // a message before this one made us leave
      this.#take(message);
    }
  }

  #take(message: ServerMessage): void {
    switch (message.type) {
      case 'Welcome':
        return this.#welcome(message);
      case 'Events':
        return this.#events(message.from, message.to, message.events);
      case 'Audience':
        this.#viewers.set(message.viewers);
        if (message.reactions.length > 0) this.emit('reactions', message.reactions);
        return;
      case 'Private':
        if (message.version <= this.#mine.value.version) return;
        this.#mine.set(foldPrivate(this.#mine.value, message.version, message.event));
        return this.emit('private', message.event);
      case 'Desk':
        if (!this.#desk.value) return;
        return this.#desk.set(foldDesk(this.#desk.value, message.version, message.event));
      case 'Ok':
        return this.#commands.done(message as Done);
      case 'Refused':
        return this.#refused(message);
      case 'Pong': {
        const sentAt = this.#pings.get(message.id);
        this.#pings.delete(message.id);
        if (sentAt !== undefined) this.#clock.sample(message.server_time_ms, sentAt);
        return;
      }
      case 'GoAway':
        this.#soon(message.reconnect_after_ms, () => this.#drop(1000, 'going away', true));
        return;
      default: // a newer server says more than we know
    }
  }

  #welcome(welcome: Welcome): void {
    const before = this.#mine.value;
    const returning = this.#position !== undefined;
    if (!welcome.snapshot && (!welcome.resumed || !this.#view.value)) {
      this.#position = undefined;
      return this.#drop(CLOSE_GAP, 'neither resumed nor a snapshot');
    }
    this.#clock.guess(welcome.server_time_ms);
    this.#position = { epoch: welcome.epoch, offset: welcome.offset };
    if (welcome.snapshot) {
      this.#view.set(viewOf(welcome.snapshot));
      this.#viewers.set(welcome.snapshot.viewers);
    }
    const { session, user, name, role } = welcome;
    this.#me.set({ session, user, name, role });
    this.#mine.set(welcome.mine);
    this.#desk.set(welcome.desk);
    this.#welcomed = true;
    this.#connection.set({ state: 'open' });
    this.#cancelTimers();
    this.#soon(STABLE_MS, () => (this.#attempt = 0));
    for (const ms of CLOCK_PINGS_MS) this.#soon(ms, () => this.#sendPing());
    this.#ping();
    if (returning) {
      const gone = goneBetween(before, welcome.mine, this.#clock.now());
      this.emit('returned', { reset: welcome.reset, gone });
    }
    this.#commands.resend();
  }

  #events(from: Offset, to: Offset, events: readonly LoggedEvent[]): void {
    const position = this.#position;
    if (!position || !this.#view.value) return;
    if (from !== position.offset + 1 || to < from) {
      return this.#drop(CLOSE_GAP, `expected offset ${position.offset + 1}, got ${from}`);
    }
    let view = this.#view.value;
    for (const logged of events) view = foldEvent(view, logged);
    this.#position = { epoch: position.epoch, offset: to };
    this.#view.set(view);
    for (const logged of events) this.emit('event', logged);
  }

  #refused(message: Extract<ServerMessage, { type: 'Refused' }>): void {
    if (message.id === undefined) {
      this.emit('refused', { code: message.code, message: message.message });
      return;
    }
    this.#commands.refused(message.id, message.code, message.message, message.retry_after_ms);
  }

  /** Nothing heard since a ping went out means a dead connection, whatever TCP says. A late timer
   *  (a page in the background) proves nothing: it is the ping that counts. */
  #ping(): void {
    const heard = this.#framesHeard;
    this.#sendPing();
    this.#soon(PING_EVERY_MS, () => {
      if (this.#framesHeard === heard) this.#drop(4902, 'silence');
      else this.#ping();
    });
  }

  #probe(): void {
    const heard = this.#framesHeard;
    this.#sendPing();
    this.#soon(NUDGE_MS_MAX, () => {
      if (this.#framesHeard === heard) this.#drop(4902, 'silence', true);
    });
  }

  #sendPing(): void {
    const id = this.#commands.nextId();
    if (this.#pings.size > 8) this.#pings.clear();
    this.#pings.set(id, this.#runtime.monotonic());
    this.#send([{ type: 'Ping', id }]);
  }

  #tokenChanged(token: string): void {
    if (!this.#welcomed || token === this.#sentToken) return;
    this.#sentToken = token;
    this.#send([{ type: 'RefreshToken', id: this.#commands.nextId(), token }]);
  }

  #send(messages: ClientMessage[]): boolean {
    if (!this.#welcomed) return false;
    this.#write(messages);
    return true;
  }

  #write(messages: ClientMessage[]): void {
    for (const frame of this.#codec.encode(messages)) this.#socket?.send(frame);
  }

  /** We leave this connection and come back. The peer may never answer the close: do not wait. */
  #drop(code: number, reason: string, atOnce = false): void {
    const socket = this.#socket;
    if (!socket) return;
    this.#forgetSocket();
    socket.close(code, reason);
    this.#later(atOnce ? 0 : this.#backoff());
  }

  #lost(socket: Socket, code: number, reason: string): void {
    if (socket !== this.#socket) return;
    this.#forgetSocket();
    const next: Return = CLOSE_CODES[code]?.next ?? 'resume';
    if (next === 'stay') return this.#end(code, CLOSE_CODES[code]?.reason ?? reason);
    if (next === 'authenticate') this.options.tokens.reject(this.#sentToken ?? '');
    this.#later(this.#backoff());
  }

  #backoff(): number {
    const wait = backoffMs(this.#attempt, this.#runtime.random());
    this.#attempt += 1;
    return wait;
  }

  #later(ms: number): void {
    if (this.#closed) return;
    const retryAt = this.#runtime.monotonic() + ms;
    this.#connection.set({ state: 'reconnecting', attempt: this.#attempt, retryAt });
    this.#retry = this.#runtime.after(ms, () => {
      this.#retry = undefined;
      void this.#connect();
    });
  }

  #forgetSocket(): void {
    const socket = this.#socket;
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    this.#socket = undefined;
    this.#welcomed = false;
    this.#pings.clear();
    this.#clock.reset();
    this.#cancelTimers();
  }

  #end(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    const socket = this.#socket;
    this.#forgetSocket();
    socket?.close(1000, 'done');
    this.#retry?.();
    this.#retry = undefined;
    this.#watchToken?.();
    this.#connection.set({ state: 'closed', code, reason });
    this.#commands.close();
  }

  /** A timer that dies with the connection. */
  #soon(ms: number, run: () => void): void {
    this.#timers.push(this.#runtime.after(ms, run));
  }

  #cancelTimers(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers = [];
  }
}

function openWebSocket(url: string, subprotocol: string): Socket {
  return new WebSocket(url, [subprotocol]) as unknown as Socket;
}

export type { Event };
