// The seller's side of the video: the source, the publishing, and how well it goes. Knows one
// show's WHIP address; of pins, stock and comments it knows nothing.
import {
  Rest,
  whip,
  type BroadcastHealth,
  type Tokens,
  type UplinkHealth,
  type VideoState,
  type WhipPublisher,
} from '@vetrina/client';
import { judge, wantedKilobits, type Verdict } from './health';
import type { Opened, Source, SourceFailure } from './sources';

/** The server's own view of the broadcast is asked for so often while publishing. */
const SERVER_EVERY_MS = 2_000;
/** Just gone live: the server needs a moment before its word counts. */
const SERVER_GRACE_MS = 4_000;

/** What happened to the source or the publishing, for the page to say. */
export type BroadcastNews = 'source_ended' | 'publish_refused';

export class Broadcast {
  source: Source | undefined = $state.raw();
  failure: SourceFailure | undefined = $state.raw();
  /** The browser is asking for the camera or the screen. */
  opening = $state(false);
  /** `undefined`: not publishing. */
  video: VideoState | undefined = $state.raw();
  uplink: UplinkHealth | undefined = $state.raw();
  server: BroadcastHealth | undefined = $state.raw();
  microphone = $state(true);
  /** Preferred codec as a MIME type; empty: the browser chooses. */
  codec = $state('');

  readonly publishing = $derived(this.video !== undefined);
  readonly connected = $derived(this.video?.state === 'connected');
  readonly verdict: Verdict | undefined = $derived.by(() => this.#judge());

  readonly #rest: Rest;
  #publisher: WhipPublisher | undefined;
  #forget: (() => void)[] = [];
  #connectedAt = 0;

  constructor(
    private readonly tokens: Tokens,
    private readonly show: string,
    private readonly news: (news: BroadcastNews, detail?: string) => void,
  ) {
    this.#rest = new Rest({ origin: location.origin, tokens });
  }

  /** Takes a new source; while publishing, viewers see it without a break. */
  async use(open: () => Promise<Opened> | Opened): Promise<void> {
    if (this.opening) return;
    this.opening = true;
    const opened = await open();
    this.opening = false;
    if (!opened.ok) {
      this.failure = opened.why;
      return;
    }
    this.failure = undefined;
    const before = this.source;
    this.source = opened.source;
    this.#applyMicrophone();
    for (const track of opened.source.stream.getVideoTracks()) {
      track.addEventListener('ended', () => this.#ended(opened.source));
    }
    await this.#publisher?.replace(opened.source.stream);
    before?.stop();
  }

  /** Lets the source go; only while not publishing. */
  drop(): void {
    if (this.publishing) return;
    this.source?.stop();
    this.source = undefined;
    this.failure = undefined;
  }

  mute(off: boolean): void {
    this.microphone = !off;
    this.#applyMicrophone();
  }

  /** Starts publishing; the show goes live with the first frame at the server. */
  start(whipUrl: string): void {
    if (this.#publisher || !this.source) return;
    const publisher = whip({
      url: new URL(whipUrl, location.origin).href,
      tokens: this.tokens,
      stream: this.source.stream,
      videoBitrateMax: 2_500_000,
      ...(this.codec === '' ? {} : { videoCodec: this.codec }),
    });
    this.#publisher = publisher;
    this.#forget = [
      publisher.state.subscribe((state) => this.#changed(state)),
      publisher.health.subscribe((health) => (this.uplink = health)),
    ];
    const timer = setInterval(() => void this.#askServer(), SERVER_EVERY_MS);
    this.#forget.push(() => clearInterval(timer));
  }

  /** Stops publishing; the source stays, so that one can go back on air. */
  async stop(): Promise<void> {
    const publisher = this.#publisher;
    this.#publisher = undefined;
    for (const forget of this.#forget) forget();
    this.#forget = [];
    this.video = undefined;
    this.uplink = undefined;
    this.server = undefined;
    await publisher?.stop();
  }

  /** The page goes away. */
  close(): void {
    void this.stop();
    this.source?.stop();
    this.source = undefined;
  }

  #changed(state: VideoState): void {
    if (state.state === 'connected') this.#connectedAt = performance.now();
    this.video = state;
    if (state.state !== 'failed') return;
    this.news('publish_refused', state.problem?.detail);
    void this.stop();
  }

  #ended(source: Source): void {
    if (source !== this.source) return;
    this.source = undefined;
    source.stop();
    this.news('source_ended');
  }

  #applyMicrophone(): void {
    for (const track of this.source?.stream.getAudioTracks() ?? []) track.enabled = this.microphone;
  }

  async #askServer(): Promise<void> {
    try {
      const health = await this.#rest.health(this.show);
      if (this.#publisher) this.server = health;
    } catch {
      this.server = undefined; // nothing known is nothing said
    }
  }

  #judge(): Verdict | undefined {
    if (!this.connected || !this.uplink || !this.source) return undefined;
    const { width = 0, height = 0 } = this.uplink;
    const { framesPerSecond } = this.source;
    const wanted = {
      kilobitsPerSecond: Math.min(2_500, wantedKilobits(width, height, framesPerSecond)),
      framesPerSecond,
    };
    const settled = performance.now() - this.#connectedAt > SERVER_GRACE_MS;
    return judge(this.uplink, wanted, settled ? this.server?.publishing : undefined);
  }
}

/** Video codecs that this browser can send, by MIME type. */
export function sendableCodecs(): string[] {
  const codecs = globalThis.RTCRtpSender?.getCapabilities?.('video')?.codecs ?? [];
  const known = ['video/H264', 'video/VP8', 'video/VP9', 'video/AV1'];
  return known.filter((mime) => codecs.some(({ mimeType }) => mimeType === mime));
}
