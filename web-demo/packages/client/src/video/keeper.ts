// Keeps one peer connection up: opens a session, watches it, and opens another one when it fails.
// The part that WHIP and WHEP share.
import { backoffMs, browserRuntime, type Runtime } from '../clock.ts';
import { Observable, type Readable } from '../observable.ts';
import { ProblemError } from '../rest/problem.ts';
import type { Problem } from '../generated/wire.ts';
import { HttpSession, type SessionOptions } from './session.ts';

/** Where the video connection stands. */
export type VideoState =
  | { readonly state: 'idle' | 'connecting' | 'connected' }
  /** WHEP: nobody publishes yet; asked again after a while. */
  | { readonly state: 'waiting' }
  | { readonly state: 'reconnecting'; readonly attempt: number }
  /** For good: the server will not have us. */
  | { readonly state: 'failed'; readonly problem: Problem | undefined };

export interface KeeperOptions extends SessionOptions {
  readonly runtime?: Runtime;
  readonly makePeer?: () => RTCPeerConnection;
}

/** A connection that is `disconnected` for so long is given up; short gaps heal by themselves. */
const DISCONNECTED_MS_MAX = 3_000;
/** A connection that is not up after this is given up. */
const CONNECT_MS_MAX = 12_000;
/** Ask again so soon whether somebody publishes, if the server does not say when. */
const WAIT_MS = 1_000;
const WAIT_MS_MAX = 5_000;

export class Keeper {
  readonly #state = new Observable<VideoState>({ state: 'idle' });
  readonly #peer = new Observable<RTCPeerConnection | undefined>(undefined);
  readonly #runtime: Runtime;
  #session: HttpSession | undefined;
  #attempt = 0;
  #running = false;
  #timer: (() => void) | undefined;

  constructor(
    private readonly options: KeeperOptions,
    /** Adds the transceivers to a new peer, before the offer is made. */
    private readonly prepare: (peer: RTCPeerConnection) => void,
  ) {
    this.#runtime = options.runtime ?? browserRuntime;
  }

  get state(): Readable<VideoState> {
    return this.#state;
  }

  /** The peer connection in use; another one after a reconnect. */
  get peer(): Readable<RTCPeerConnection | undefined> {
    return this.#peer;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#attempt = 0;
    this.#state.set({ state: 'connecting' });
    void this.#connect();
  }

  /** Ends the session, here and at the server. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#state.set({ state: 'idle' });
    await this.#leave();
  }

  /** The network may be back: do not wait for the next try. */
  nudge(): void {
    const { state } = this.#state.value;
    if (!this.#running || !this.#timer) return;
    if (state !== 'reconnecting' && state !== 'waiting') return;
    this.#cancel();
    void this.#connect();
  }

  async #connect(): Promise<void> {
    const peer = this.options.makePeer?.() ?? new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const session = new HttpSession(this.options);
    this.prepare(peer);
    this.#session = session;
    this.#peer.set(peer);
    peer.addEventListener('connectionstatechange', () => this.#changed(peer));
    try {
      await session.open(peer);
    } catch (error) {
      if (peer === this.#peer.value) await this.#refused(error);
      return;
    }
    if (peer !== this.#peer.value || peer.connectionState === 'connected') return;
    this.#cancel();
    this.#timer = this.#runtime.after(CONNECT_MS_MAX, () => void this.#again());
  }

  #changed(peer: RTCPeerConnection): void {
    if (peer !== this.#peer.value || !this.#running) return;
    switch (peer.connectionState) {
      case 'connected':
        this.#cancel();
        this.#attempt = 0;
        this.#state.set({ state: 'connected' });
        return;
      case 'disconnected':
        this.#cancel();
        this.#timer = this.#runtime.after(DISCONNECTED_MS_MAX, () => void this.#again());
        return;
      case 'failed':
      case 'closed':
        void this.#again();
        return;
      default:
    }
  }

  async #refused(error: unknown): Promise<void> {
    if (!(error instanceof ProblemError)) {
      if (this.options.tokens.refused(error)) return this.#fail(undefined);
      return this.#again();
    }
    const { status, retry_after_ms: wait } = error.problem;
    if (status === 409) {
      await this.#leave();
      if (!this.#running) return;
      this.#state.set({ state: 'waiting' });
      return this.#retryIn(
        Math.min(WAIT_MS_MAX, wait ?? WAIT_MS) * (0.75 + this.#runtime.random() / 2),
      );
    }
    if ([400, 403, 404, 405, 406, 415, 422].includes(status)) return this.#fail(error.problem);
    return this.#again(wait); // 401 with a new token, 429 and 5xx later
  }

  async #fail(problem: Problem | undefined): Promise<void> {
    await this.#leave();
    if (this.#running) this.#state.set({ state: 'failed', problem });
    this.#running = false;
  }

  async #again(waitMs?: number): Promise<void> {
    await this.#leave();
    if (!this.#running) return;
    const backoff = backoffMs(this.#attempt, this.#runtime.random());
    this.#attempt += 1;
    this.#state.set({ state: 'reconnecting', attempt: this.#attempt });
    this.#retryIn(Math.max(backoff, waitMs ?? 0));
  }

  #retryIn(ms: number): void {
    this.#cancel();
    this.#timer = this.#runtime.after(ms, () => {
      this.#timer = undefined;
      if (this.#running) void this.#connect();
    });
  }

  async #leave(): Promise<void> {
    this.#cancel();
    const session = this.#session;
    this.#session = undefined;
    this.#peer.value?.close();
    this.#peer.set(undefined);
    // The new session does not wait for the old one to be freed: the server ends it anyway.
    void session?.close();
  }

  #cancel(): void {
    this.#timer?.();
    this.#timer = undefined;
  }
}
