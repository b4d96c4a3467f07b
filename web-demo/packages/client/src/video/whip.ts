// Publishes a stream into a show (WHIP), kept up across failures, with figures on how it goes.
import { browserRuntime, type Runtime } from '../clock.ts';
import { Observable, type Readable } from '../observable.ts';
import type { TokenSource } from '../rest/tokens.ts';
import { Keeper, type VideoState } from './keeper.ts';

export interface WhipOptions {
  /** `show.whip_url`. */
  readonly url: string;
  readonly tokens: TokenSource;
  readonly stream: MediaStream;
  /** Most bits per second of the video; the browser chooses without it. */
  readonly videoBitrateMax?: number;
  /** Preferred video codec, such as `video/VP8`; all others stay as second choice. */
  readonly videoCodec?: string;
  readonly runtime?: Runtime;
  readonly fetch?: typeof fetch;
  readonly makePeer?: () => RTCPeerConnection;
}

/** How the publishing goes, over the last seconds. */
export interface UplinkHealth {
  readonly bitsPerSecond: number;
  /** What the browser's congestion control believes to be possible. */
  readonly availableBitsPerSecond: number | undefined;
  readonly framesPerSecond: number;
  /** Packets lost on the way, per cent, as the server reports. */
  readonly lossPercent: number | undefined;
  readonly roundTripMs: number | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
  /** The browser lowers quality: `cpu` or `bandwidth`. */
  readonly limitedBy: string | undefined;
}

const HEALTH_EVERY_MS = 1_000;

export class WhipPublisher {
  readonly #keeper: Keeper;
  readonly #health = new Observable<UplinkHealth | undefined>(undefined);
  readonly #runtime: Runtime;
  #stream: MediaStream;
  #last: { at: number; bytes: number; frames: number } | undefined;
  #stopHealth: (() => void) | undefined;

  constructor(private readonly options: WhipOptions) {
    this.#stream = options.stream;
    this.#runtime = options.runtime ?? browserRuntime;
    this.#keeper = new Keeper(options, (peer) => this.#prepare(peer));
  }

  get state(): Readable<VideoState> {
    return this.#keeper.state;
  }

  /** Figures once a second while connected. */
  get health(): Readable<UplinkHealth | undefined> {
    return this.#health;
  }

  start(): void {
    this.#keeper.start();
    this.#stopHealth ??= this.#runtime.after(HEALTH_EVERY_MS, () => void this.#measure());
  }

  async stop(): Promise<void> {
    this.#stopHealth?.();
    this.#stopHealth = undefined;
    this.#last = undefined;
    this.#health.set(undefined);
    await this.#keeper.stop();
  }

  /** Looks for another way through the network, keeping session and tracks. It is done without
   *  asking when the connection breaks. `true` when there is one. */
  restartIce(): Promise<boolean> {
    return this.#keeper.restartIce();
  }

  nudge(): void {
    this.#keeper.nudge();
  }

  /** Another source: the tracks are swapped, the session and the viewers stay. */
  async replace(stream: MediaStream): Promise<void> {
    this.#stream = stream;
    for (const sender of this.#senders()) {
      const kind = this.#kinds.get(sender);
      const track = stream.getTracks().find((one) => one.kind === kind) ?? null;
      await sender.replaceTrack(track);
    }
  }

  readonly #kinds = new WeakMap<RTCRtpSender, string>();

  #senders(): RTCRtpSender[] {
    return this.#keeper.peer.value?.getSenders() ?? [];
  }

  #prepare(peer: RTCPeerConnection): void {
    for (const kind of ['video', 'audio'] as const) {
      const track = this.#stream.getTracks().find((one) => one.kind === kind);
      const transceiver = peer.addTransceiver(track ?? kind, {
        direction: 'sendonly',
        streams: [this.#stream],
        ...(kind === 'video' ? { sendEncodings: [this.#encoding()] } : {}),
      });
      this.#kinds.set(transceiver.sender, kind);
      if (kind === 'video') prefer(transceiver, this.options.videoCodec);
    }
    this.#last = undefined;
  }

  #encoding(): RTCRtpEncodingParameters {
    const { videoBitrateMax } = this.options;
    return videoBitrateMax === undefined ? {} : { maxBitrate: videoBitrateMax };
  }

  async #measure(): Promise<void> {
    const peer = this.#keeper.peer.value;
    if (peer && peer.connectionState === 'connected') {
      const stats = await peer.getStats();
      if (peer === this.#keeper.peer.value) this.#health.set(this.#read(stats));
    }
    if (!this.#stopHealth) return;
    this.#stopHealth = this.#runtime.after(HEALTH_EVERY_MS, () => void this.#measure());
  }

  #read(stats: RTCStatsReport): UplinkHealth {
    const all = [...stats.values()] as Record<string, unknown>[];
    const find = (type: string) =>
      all.find((one) => one['type'] === type && (one['kind'] ?? 'video') === 'video');
    const number = (from: Record<string, unknown> | undefined, name: string) => {
      const value = from?.[name];
      return typeof value === 'number' ? value : undefined;
    };
    const video = find('outbound-rtp');
    const remote = find('remote-inbound-rtp');
    const pair = all.find((one) => one['type'] === 'candidate-pair' && one['nominated'] === true);
    const bytes = all
      .filter((one) => one['type'] === 'outbound-rtp')
      .reduce((sum, one) => sum + (number(one, 'bytesSent') ?? 0), 0);
    const now = { at: this.#runtime.monotonic(), bytes, frames: number(video, 'framesSent') ?? 0 };
    const seconds = this.#last ? (now.at - this.#last.at) / 1000 : 0;
    const rate = (value: number, before: number) => (seconds > 0 ? (value - before) / seconds : 0);
    const last = this.#last ?? now;
    this.#last = now;
    const loss = number(remote, 'fractionLost');
    const roundTrip = number(remote, 'roundTripTime') ?? number(pair, 'currentRoundTripTime');
    const limited = video?.['qualityLimitationReason'];
    return {
      bitsPerSecond: rate(now.bytes, last.bytes) * 8,
      availableBitsPerSecond: number(pair, 'availableOutgoingBitrate'),
      framesPerSecond: rate(now.frames, last.frames),
      lossPercent: loss === undefined ? undefined : loss * 100,
      roundTripMs: roundTrip === undefined ? undefined : roundTrip * 1000,
      width: number(video, 'frameWidth'),
      height: number(video, 'frameHeight'),
      limitedBy: typeof limited === 'string' && limited !== 'none' ? limited : undefined,
    };
  }
}

function prefer(transceiver: RTCRtpTransceiver, codec: string | undefined): void {
  const codecs = RTCRtpSender.getCapabilities('video')?.codecs;
  if (!codec || !codecs) return;
  const first = codecs.filter(({ mimeType }) => mimeType.toLowerCase() === codec.toLowerCase());
  transceiver.setCodecPreferences([...first, ...codecs.filter((one) => !first.includes(one))]);
}

/** Makes a publisher and starts it. */
export function whip(options: WhipOptions): WhipPublisher {
  const publisher = new WhipPublisher(options);
  publisher.start();
  return publisher;
}
