// A server, a clock and a network that the tests own. Nothing here waits for real time.
import { Decoder, Encoder } from '@msgpack/msgpack';
import { Channel, type ChannelOptions, type Socket } from '../src/index.ts';
import type {
  ClientMessage,
  Listing,
  Mine,
  Order,
  Reservation,
  ServerMessage,
  Snapshot,
  Welcome,
} from '../src/generated/wire.ts';
import type { Runtime } from '../src/clock.ts';
import type { TokenSource } from '../src/rest/tokens.ts';

export class TestRuntime implements Runtime {
  now = 1_000_000;
  #timers: { at: number; run: () => void }[] = [];
  wall = () => this.now;
  monotonic = () => this.now;
  random = () => 0.5;

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.now + ms, run };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((one) => one !== timer));
  }

  /** Lets time pass, running what comes due in order, and promises in between. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    await settled();
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.now = Math.max(this.now, next.at);
      next.run();
      await settled();
    }
    this.now = end;
  }
}

/** Every promise that can go on has gone on. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

export class TestSocket implements Socket {
  binaryType = 'blob';
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: unknown }) => void) | null = null;
  onclose: ((close: { code: number; reason: string }) => void) | null = null;
  readonly heard: ClientMessage[] = [];
  readonly frames: number[] = [];
  closedWith: number | undefined;

  constructor(
    readonly url: string,
    readonly protocol: string,
  ) {}

  send(data: string | Uint8Array): void {
    const frame = (
      typeof data === 'string' ? JSON.parse(data) : new Decoder().decode(data)
    ) as ClientMessage[];
    this.frames.push(frame.length);
    this.heard.push(...frame);
  }

  close(code?: number): void {
    this.closedWith = code ?? 1005;
  }

  says(...messages: ServerMessage[]): void {
    const data = this.protocol.endsWith('json')
      ? JSON.stringify(messages)
      : new Encoder({ ignoreUndefined: true }).encode(messages).slice().buffer;
    this.onmessage?.({ data });
  }

  breaks(code = 1006): void {
    this.onclose?.({ code, reason: '' });
  }

  commands(): ClientMessage[] {
    return this.heard.filter(({ type }) => type !== 'Hello' && type !== 'Ping');
  }

  hello(): Extract<ClientMessage, { type: 'Hello' }> {
    const hello = this.heard[0];
    if (hello?.type !== 'Hello') throw new Error('Hello did not come first');
    return hello;
  }
}

export class TestTokens implements TokenSource {
  token = 'token-1';
  rejected: string[] = [];
  failing: Error | undefined;
  #watchers = new Set<(token: string) => void>();

  async get(): Promise<string> {
    if (this.failing) throw this.failing;
    return this.token;
  }
  reject(token: string): void {
    this.rejected.push(token);
    this.token = `token-${this.rejected.length + 1}`;
  }
  refused = (error: unknown) => error instanceof Error && error.message === 'refused';
  watch(run: (token: string) => void): () => void {
    this.#watchers.add(run);
    return () => void this.#watchers.delete(run);
  }
  fresh(token: string): void {
    this.token = token;
    for (const run of this.#watchers) run(token);
  }
}

export const NO_MINE: Mine = { reservations: [], orders: [], waitlist: [], version: 0 };

export function listing(id: string, change: Partial<Listing> = {}): Listing {
  return {
    id,
    product: `product-${id}`,
    sku: `sku-${id}`,
    title: `Vase ${id}`,
    price: { amount_minor: 2400, currency: 'EUR' },
    per_buyer: 2,
    position: 0,
    stock: { total: 5, reserved: 0, claimed: 0, paid: 0, available: 5, waiting: 0 },
    ...change,
  };
}

export function reservation(id: string, change: Partial<Reservation> = {}): Reservation {
  return {
    id,
    listing: 'a',
    quantity: 1,
    unit_price: { amount_minor: 2400, currency: 'EUR' },
    state: 'reserved',
    expires_at_ms: 2_000_000,
    extensions_left: 1,
    from_waitlist: false,
    ...change,
  };
}

export function order(id: string, change: Partial<Order> = {}): Order {
  return {
    id,
    number: 'V-1',
    show: 'show',
    state: 'pending',
    lines: [],
    total: { amount_minor: 2400, currency: 'EUR' },
    created_at_ms: 0,
    pay_by_ms: 0,
    version: 1,
    ...change,
  };
}

export function snapshot(change: Partial<Snapshot> = {}): Snapshot {
  return {
    show: {
      id: 'show',
      seller: 'seller',
      seller_name: 'Stall',
      title: 'Sale',
      state: 'live',
      currency: 'EUR',
      reservation_ttl_s: 120,
      order_deadline_s: 600,
      whep_url: '/whep',
      whip_url: '/whip',
    },
    listings: [listing('a'), listing('b', { position: 1 })],
    comments: [],
    slow_mode_s: 0,
    muted: [],
    viewers: 1,
    ...change,
  };
}

export function welcome(change: Partial<Welcome> = {}): ServerMessage {
  return {
    type: 'Welcome',
    session: 'session',
    user: 'me',
    name: 'Me',
    role: 'viewer',
    epoch: 1,
    offset: 10,
    snapshot: snapshot(),
    resumed: false,
    server_time_ms: 5_000_000,
    mine: NO_MINE,
    ...change,
  };
}

/** A `Welcome` that continues: no snapshot, the same offset. */
export function resumed(offset: number, change: Partial<Welcome> = {}): ServerMessage {
  const message = welcome({ offset, resumed: true, ...change });
  if (message.type === 'Welcome' && !change.snapshot) delete message.snapshot;
  return message;
}

export class Rig {
  readonly runtime = new TestRuntime();
  readonly tokens = new TestTokens();
  readonly sockets: TestSocket[] = [];
  readonly channel: Channel;

  constructor(options: Partial<ChannelOptions> = {}) {
    this.channel = new Channel({
      origin: 'https://shop.test',
      show: 'show',
      tokens: this.tokens,
      runtime: this.runtime,
      connect: (url, protocol) => {
        const socket = new TestSocket(url, protocol);
        this.sockets.push(socket);
        return socket;
      },
      ...options,
    });
  }

  get socket(): TestSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('no connection was tried');
    return socket;
  }

  /** The next connection opens; `Hello` is sent. */
  async connects(): Promise<TestSocket> {
    await settled();
    this.socket.onopen?.();
    return this.socket;
  }

  async opened(message: ServerMessage = welcome()): Promise<TestSocket> {
    this.channel.open();
    const socket = await this.connects();
    socket.says(message);
    return socket;
  }

  /** The back-off passes. */
  async waits(): Promise<void> {
    const { value } = this.channel.connection;
    if (value.state === 'reconnecting') await this.runtime.pass(value.retryAt - this.runtime.now);
  }

  /** The connection breaks and the next one is tried. */
  async returns(code = 1006): Promise<TestSocket> {
    const count = this.sockets.length;
    this.socket.breaks(code);
    await this.waits();
    if (this.sockets.length !== count + 1) throw new Error('did not come back exactly once');
    return this.connects();
  }
}
