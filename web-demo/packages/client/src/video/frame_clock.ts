// The frame is the clock: knows which frame of the broadcast is on this screen, and runs things
// when the video reaches theirs. A media time counts 90 kHz ticks in 64 bits; a viewer's RTP
// timestamps are exactly its low 32 bits.
import type { MediaTime } from '../generated/wire.ts';
import { browserRuntime, type Runtime } from '../clock.ts';
import { Estimate, type TimestampSource } from './estimate.ts';
import { TICKS_PER_MS, Timeline } from './timeline.ts';

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

export interface FrameClockOptions {
  /** The receiver of the video, for the estimate; asked at every use. */
  readonly receiver?: () => TimestampSource | undefined;
  /** The server's time in ms. A broadcast's timeline starts at its wall clock, so that it tells the
   *  high bits of a media time until a pin has told them. Default: this device's clock. */
  readonly serverNow?: () => number;
  /** How long to the server and back, for the estimate; unknown counts as no time. */
  readonly roundTripMs?: () => number | undefined;
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
/** An estimate that is so little before a frame means that one: less than half a frame at 50/s. */
const ESTIMATE_TICKS = 9 * TICKS_PER_MS;

interface Waiting {
  readonly mediaTime: MediaTime | undefined;
  readonly since: number;
  readonly run: () => void;
}

/** Runs things when the video on screen reaches their frame, in the order they were given. */
export class FrameClock {
  readonly #runtime: Runtime;
  readonly #serverNow: () => number;
  readonly #timeline = new Timeline();
  readonly #estimate: Estimate;
  readonly #waiting: Waiting[] = [];
  #video: FrameSource | undefined;
  #callback: number | undefined;
  /** RTP timestamp of the newest frame, where the browser tells it. */
  #rtpTimestamp: number | undefined;
  #frameAt = -Infinity;
  #exact = false;
  #known: MediaTime | undefined;
  #poll: (() => void) | undefined;

  constructor(options: FrameClockOptions = {}) {
    this.#runtime = options.runtime ?? browserRuntime;
    this.#serverNow = options.serverNow ?? this.#runtime.wall;
    this.#estimate = new Estimate({
      receiver: () => options.receiver?.(),
      serverNow: this.#serverNow,
      roundTripMs: () => options.roundTripMs?.(),
      timeline: this.#timeline,
      runtime: this.#runtime,
    });
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
    this.#rtpTimestamp = undefined;
    this.#estimate.forget();
  }

  /** A pin or unpin tells which frame was the newest at the server at which time there: estimates
   *  get better by it. */
  stamped(mediaTime: MediaTime | undefined, atMs: number): void {
    this.#timeline.note(mediaTime, atMs);
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
    const near = this.#known ?? this.#timeline.at(this.#serverNow());
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
      this.#exact = frame.rtpTimestamp !== undefined;
      this.#rtpTimestamp = frame.rtpTimestamp;
      if (!this.#exact) this.#estimate.shown(frame);
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
    // Frames come and nothing tells which: better early than late.
    if (rtpTimestamp === undefined) return noVideo || this.#frameAt >= waiting.since;
    const near = this.#exact ? 0 : ESTIMATE_TICKS;
    return reached(rtpTimestamp + near, waiting.mediaTime) || noVideo;
  }

  /** The RTP timestamp on screen, told or estimated. */
  #rtpNow(): number | undefined {
    return this.#exact ? this.#rtpTimestamp : this.#estimate.rtpTimestamp;
  }
}
