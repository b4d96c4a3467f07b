// The frame is the clock: knows which frame of the broadcast is on this screen, and runs things
// when the video reaches theirs. A media time counts 90 kHz ticks in 64 bits; a viewer's RTP
// timestamps are exactly its low 32 bits.
import type { MediaTime } from '../generated/wire.ts';
import { browserRuntime, type Runtime } from '../clock.ts';

/** Ticks of a media time in a millisecond. */
export const TICKS_PER_MS = 90;

/** `true` when a frame with this RTP timestamp is the one of `mediaTime` or a later one. The
 *  difference is read as 32 bit with sign, so that the wrap-around after 13 hours does no harm. */
export function reached(rtpTimestamp: number, mediaTime: MediaTime): boolean {
  return ticksAfter(rtpTimestamp, mediaTime) >= 0;
}

function ticksAfter(rtpTimestamp: number, mediaTime: MediaTime): number {
  return (rtpTimestamp - (mediaTime % 2 ** 32)) | 0;
}

/** The 64-bit media time of an RTP timestamp, given one that is less than 6 hours away. */
export function unwrap(rtpTimestamp: number, near: MediaTime): MediaTime {
  return Math.max(0, near + ticksAfter(rtpTimestamp, near));
}

/** What is needed of a <video>. */
export type FrameSource = Pick<HTMLVideoElement, 'addEventListener' | 'removeEventListener'> &
  Partial<Pick<HTMLVideoElement, 'requestVideoFrameCallback' | 'cancelVideoFrameCallback'>>;

/** What is needed of an RTCRtpReceiver where frames do not tell their timestamp. */
export type TimestampSource = Pick<RTCRtpReceiver, 'getSynchronizationSources'>;

export interface FrameClockOptions {
  /** The receiver of the video, for the estimate; asked at every use. */
  readonly receiver?: () => TimestampSource | undefined;
  /** The server's time in ms. A broadcast's timeline starts at its wall clock, so that it tells the
   *  high bits of a media time until a pin has told them. Default: this device's clock. */
  readonly serverNow?: () => number;
  readonly runtime?: Runtime;
}

/** Without a new frame for so long there is no video to wait for. */
export const NO_VIDEO_MS = 1_000;
/** Nothing waits longer than this, whatever the video does. */
export const WAIT_MS_MAX = 12_000;
/** Most things that wait at a time; the oldest one runs when there is one more. */
export const WAITING_MAX = 256;
/** How often the estimate and the limits are looked at. */
const POLL_MS = 33;

interface Waiting {
  readonly mediaTime: MediaTime | undefined;
  readonly since: number;
  readonly run: () => void;
}

/** Runs things when the video on screen reaches their frame, in the order they were given. */
export class FrameClock {
  readonly #runtime: Runtime;
  readonly #waiting: Waiting[] = [];
  #video: FrameSource | undefined;
  #callback: number | undefined;
  #frame: { rtpTimestamp: number; at: number } | undefined;
  #frameAt = -Infinity;
  #exact = false;
  #known: MediaTime | undefined;
  #poll: (() => void) | undefined;

  constructor(private readonly options: FrameClockOptions = {}) {
    this.#runtime = options.runtime ?? browserRuntime;
  }

  /** Watches the frames of this element from now on. */
  attach(video: FrameSource): void {
    this.detach();
    this.#video = video;
    video.addEventListener('timeupdate', this.#played);
    this.#next();
  }

  detach(): void {
    const video = this.#video;
    if (!video) return;
    video.removeEventListener('timeupdate', this.#played);
    if (this.#callback !== undefined) video.cancelVideoFrameCallback?.(this.#callback);
    this.#video = undefined;
    this.#callback = undefined;
    this.#frame = undefined;
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting.length = 0;
  }

  /** The media time on screen now, for a claim; nothing when no video plays. `exact` tells whether
   *  the browser says so or whether it is an estimate. */
  get now(): { readonly mediaTime: MediaTime; readonly exact: boolean } | undefined {
    const rtpTimestamp = this.#rtpNow();
    if (rtpTimestamp === undefined) return undefined;
    const serverNow = this.options.serverNow ?? this.#runtime.wall;
    const near = this.#known ?? Math.round(serverNow() * TICKS_PER_MS);
    return { mediaTime: unwrap(rtpTimestamp, near), exact: this.#exact };
  }

  /** Runs `run` when the video reaches `mediaTime`; with none, or without video, as soon as what
   *  was asked before has run. */
  when(mediaTime: MediaTime | undefined, run: () => void): void {
    if (mediaTime !== undefined) this.#known = mediaTime;
    this.#waiting.push({ mediaTime, since: this.#runtime.monotonic(), run });
    while (this.#waiting.length > WAITING_MAX) this.#waiting.shift()?.run();
    this.#check();
  }

  /** From a frame's callback: the exact way. */
  #next(): void {
    const video = this.#video;
    this.#callback = video?.requestVideoFrameCallback?.((_now, frame) => {
      if (video !== this.#video) return;
      this.#frameAt = this.#runtime.monotonic();
      if (frame.rtpTimestamp !== undefined) {
        this.#exact = true;
        this.#frame = { rtpTimestamp: frame.rtpTimestamp, at: this.#frameAt };
      }
      this.#check();
      this.#next();
    });
  }

  /** Where frames have no callback, the playing position says that there is video. */
  readonly #played = () => {
    if (this.#video?.requestVideoFrameCallback) return;
    this.#frameAt = this.#runtime.monotonic();
    this.#check();
  };

  #check(): void {
    const now = this.#runtime.monotonic();
    const rtpTimestamp = this.#rtpNow();
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      if (!this.#due(first, now, rtpTimestamp)) break;
      this.#waiting.shift();
      first.run();
    }
    if (this.#waiting.length > 0) {
      this.#poll ??= this.#runtime.after(POLL_MS, () => {
        this.#poll = undefined;
        this.#check();
      });
    }
  }

  #due(waiting: Waiting, now: number, rtpTimestamp: number | undefined): boolean {
    if (waiting.mediaTime === undefined) return true;
    if (now - waiting.since >= WAIT_MS_MAX) return true;
    const noVideo = now - Math.max(this.#frameAt, waiting.since) >= NO_VIDEO_MS;
    if (rtpTimestamp === undefined) return noVideo;
    return reached(rtpTimestamp, waiting.mediaTime) || noVideo;
  }

  /** The RTP timestamp on screen: of the last frame, or estimated from what the receiver played. */
  #rtpNow(): number | undefined {
    if (this.#exact) return this.#frame?.rtpTimestamp;
    const source = this.options.receiver?.()?.getSynchronizationSources()[0];
    if (!source || source.rtpTimestamp === undefined) return undefined;
    const sinceMs = Math.max(0, performance.timeOrigin + performance.now() - source.timestamp);
    // A source that stopped says nothing about now.
    if (sinceMs > NO_VIDEO_MS) return source.rtpTimestamp;
    return (source.rtpTimestamp + Math.round(sinceMs * TICKS_PER_MS)) >>> 0;
  }
}
