// Plays the broadcast of a show (WHEP): a stream for a <video>, kept up across failures.
import type { Runtime } from '../clock.ts';
import { Observable, type Readable } from '../observable.ts';
import type { TokenSource } from '../rest/tokens.ts';
import { Keeper, type VideoState } from './keeper.ts';

export interface WhepOptions {
  /** `show.whep_url`; a function reads the show again before every session (with several nodes the
   *  video may have moved). */
  readonly url: string | (() => Promise<string>);
  readonly tokens: TokenSource;
  /** Extra delay to ride out jitter, ms; the browser chooses without it. */
  readonly jitterBufferTargetMs?: number;
  readonly runtime?: Runtime;
  readonly fetch?: typeof fetch;
  readonly makePeer?: () => RTCPeerConnection;
}

export class WhepPlayer {
  readonly #keeper: Keeper;
  readonly #stream = new Observable<MediaStream | undefined>(undefined);

  constructor(private readonly options: WhepOptions) {
    this.#keeper = new Keeper(options, (peer) => this.#prepare(peer));
  }

  get state(): Readable<VideoState> {
    return this.#keeper.state;
  }

  /** For `video.srcObject`; another stream after a reconnect. */
  get stream(): Readable<MediaStream | undefined> {
    return this.#stream;
  }

  get peer(): Readable<RTCPeerConnection | undefined> {
    return this.#keeper.peer;
  }

  /** What receives the video, for statistics and the frame clock. */
  get videoReceiver(): RTCRtpReceiver | undefined {
    return this.#keeper.peer.value?.getReceivers().find(({ track }) => track.kind === 'video');
  }

  start(): void {
    this.#keeper.start();
  }

  stop(): Promise<void> {
    return this.#keeper.stop();
  }

  /** Looks for another way through the network, keeping session and tracks. It is done without
   *  asking when the connection breaks. `true` when there is one. */
  restartIce(): Promise<boolean> {
    return this.#keeper.restartIce();
  }

  /** The network may be back, or the show has just gone live. */
  nudge(): void {
    this.#keeper.nudge();
  }

  #prepare(peer: RTCPeerConnection): void {
    const stream = new MediaStream();
    for (const kind of ['video', 'audio'] as const) {
      const { receiver } = peer.addTransceiver(kind, { direction: 'recvonly' });
      if (this.options.jitterBufferTargetMs !== undefined) {
        receiver.jitterBufferTarget = this.options.jitterBufferTargetMs;
      }
    }
    // The first stream stays on screen as a still picture until the next one has a frame.
    peer.addEventListener('track', ({ track }) => {
      stream.addTrack(track);
      this.#stream.set(stream);
    });
  }
}

/** Makes a player and starts it. */
export function whep(options: WhepOptions): WhepPlayer {
  const player = new WhepPlayer(options);
  player.start();
  return player;
}
