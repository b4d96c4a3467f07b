// Keeps one peer connection up: opens a session, watches it, looks for new paths when the old one
// breaks, and opens another session when there are none. The part that WHIP and WHEP share.
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

/** A connection that is `disconnected` for so long gets new paths; short gaps heal alone. */
export const DISCONNECTED_MS_MAX = 1_000;
/** New paths that do not carry after this are given up, and with them the session. */
export const RESTART_MS_MAX = 5_000;
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
  /** Takes back the restart of ICE that is on its way. */
  #restarting: AbortController | undefined;
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

  /** Looks for new paths now, keeping the session (RFC 9725, section 4.3.3). `true` when they carry
   *  media; else the keeper goes on with a new session. */
  async restartIce(): Promise<boolean> {
    const [peer, session] = [this.#peer.value, this.#session];
    if (!this.#running || !peer || !session || this.#restarting) return false;
    const restarting = new AbortController();
    this.#restarting = restarting;
    if (peer.connectionState !== 'connected') {
      this.#state.set({ state: 'reconnecting', attempt: 0 });
    }
    this.#cancel();
    this.#timer = this.#runtime.after(RESTART_MS_MAX, () => restarting.abort());
    try {
      await session.restart(peer, restarting.signal);
      await carries(peer, restarting.signal);
    } catch {
      // What stood in the way shows again when the new session is opened.
      if (this.#restarting === restarting) await this.#again();
      return false;
    }
    if (this.#restarting !== restarting) return false;
    this.#restarting = undefined;
    this.#cancel();
    this.#state.set({ state: 'connected' });
    return true;
  }

  /** The network may be back: do not wait for the next try. */
  nudge(): void {
    const { state } = this.#state.value;
    if (!this.#running || !this.#timer || this.#restarting) return;
    if (this.#peer.value?.connectionState === 'disconnected') return void this.restartIce();
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
    if (peer !== this.#peer.value || !this.#running || this.#restarting) return;
    switch (peer.connectionState) {
      case 'connected':
        this.#cancel();
        this.#attempt = 0;
        this.#state.set({ state: 'connected' });
        return;
      case 'disconnected':
        this.#cancel();
        this.#timer = this.#runtime.after(DISCONNECTED_MS_MAX, () => void this.restartIce());
        return;
      case 'failed':
        // Without a path that ever carried there is nothing to restart.
        if (this.#state.value.state === 'connected') void this.restartIce();
        else void this.#again();
        return;
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
    this.#restarting?.abort();
    this.#restarting = undefined;
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

/** Resolves once ICE has found a path again.
 *  @throws the signal's reason, or when the connection is over. */
function carries(peer: RTCPeerConnection, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (signal.aborted) end(() => reject(signal.reason as Error));
      else if (peer.connectionState === 'connected') end(resolve);
      else if (peer.connectionState === 'closed') end(() => reject(new Error('closed')));
    };
    const end = (then: () => void) => {
      peer.removeEventListener('connectionstatechange', look);
      signal.removeEventListener('abort', look);
      then();
    };
    peer.addEventListener('connectionstatechange', look);
    signal.addEventListener('abort', look);
    look();
  });
}
