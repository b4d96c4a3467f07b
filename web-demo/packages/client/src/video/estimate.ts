// Which frame is on screen, in a browser that does not tell the RTP timestamps of its frames. Uses
// whatever it tells instead, the best first:
//   1. a clock of the frame's own (`captureTime`, else `mediaTime`), tied to RTP timestamps by what
//      the receiver delivered meanwhile;
//   2. what the receiver delivered last, and the time since;
//   3. when the frame came from the network (`receiveTime`, else `captureTime`), tied to the
//      timeline by the server's clock.
import type { Runtime } from '../clock.ts';
import { TICKS_PER_MS, type Timeline } from './timeline.ts';

/** What is needed of an RTCRtpReceiver. */
export type TimestampSource = Pick<RTCRtpReceiver, 'getSynchronizationSources'>;

/** What a frame tells of itself besides `rtpTimestamp`. */
export type FrameTimes = Pick<
  VideoFrameCallbackMetadata,
  'captureTime' | 'mediaTime' | 'receiveTime'
>;

export interface EstimateOptions {
  readonly receiver: () => TimestampSource | undefined;
  readonly serverNow: () => number;
  readonly roundTripMs: () => number | undefined;
  readonly timeline: Timeline;
  readonly runtime: Runtime;
}

/** A receiver that delivered nothing for so long says nothing about now. */
const STALE_MS = 1_000;
/** Two seconds of frames: delays change, and old ties with them. */
const TIES_MAX = 60;

type Clock = 'captureTime' | 'mediaTime';

export class Estimate {
  #clock: Clock | undefined;
  /** RTP timestamp minus the frame's own clock, of the newest frames. */
  #ties: number[] = [];
  /** The newest frame on screen, by its own clock, in ticks. */
  #own: number | undefined;
  /** When it came, by this page's clock in ms. */
  #came: number | undefined;

  constructor(private readonly options: EstimateOptions) {}

  /** A frame is on screen. */
  shown(frame: FrameTimes): void {
    const clock = clockOf(frame);
    if (clock !== this.#clock) {
      this.#clock = clock;
      this.#ties = [];
    }
    this.#own = clock && ticks(clock, frame);
    this.#came = frame.receiveTime ?? frame.captureTime;
    const delivered = this.#delivered()?.rtpTimestamp;
    if (this.#own === undefined || delivered === undefined) return;
    this.#ties.push((delivered - this.#own) | 0);
    if (this.#ties.length > TIES_MAX) this.#ties.shift();
  }

  forget(): void {
    this.#clock = undefined;
    this.#ties = [];
    this.#own = undefined;
    this.#came = undefined;
  }

  /** The RTP timestamp of the frame on screen; nothing when there is no way to tell. */
  get rtpTimestamp(): number | undefined {
    const tie = this.#tie();
    if (this.#own !== undefined && tie !== undefined) return wrapped(this.#own + tie);
    const delivered = this.#delivered();
    if (delivered) return wrapped(delivered.rtpTimestamp + delivered.sinceMs * TICKS_PER_MS);
    return this.#came === undefined ? undefined : wrapped(this.#byServer(this.#came));
  }

  /** The frame on screen was delivered already, perhaps together with later ones, so that the
   *  smallest difference is that of a frame with itself. */
  #tie(): number | undefined {
    const [first] = this.#ties;
    if (first === undefined) return undefined;
    return first + Math.min(...this.#ties.map((tie) => (tie - first) | 0));
  }

  #delivered(): { rtpTimestamp: number; sinceMs: number } | undefined {
    const source = this.options.receiver()?.getSynchronizationSources()[0];
    if (!source || source.rtpTimestamp === undefined) return undefined;
    const sinceMs = Math.max(0, performance.timeOrigin + performance.now() - source.timestamp);
    const { rtpTimestamp } = source;
    return { rtpTimestamp, sinceMs: sinceMs > STALE_MS ? 0 : sinceMs };
  }

  /** The frame left the server half a round trip before it came, and was the newest there. */
  #byServer(came: number): number {
    const { runtime, serverNow, roundTripMs, timeline } = this.options;
    const sinceLeft = runtime.monotonic() - came + (roundTripMs() ?? 0) / 2;
    return timeline.at(serverNow() - sinceLeft);
  }
}

function clockOf({ captureTime, mediaTime }: FrameTimes): Clock | undefined {
  if (captureTime !== undefined) return 'captureTime';
  return mediaTime === undefined ? undefined : 'mediaTime';
}

function ticks(clock: Clock, frame: FrameTimes): number {
  const ms = clock === 'captureTime' ? (frame.captureTime ?? 0) : frame.mediaTime * 1_000;
  return Math.round(ms * TICKS_PER_MS);
}

/** As a 32-bit RTP timestamp. */
function wrapped(value: number): number {
  return ((Math.round(value) % 2 ** 32) + 2 ** 32) % 2 ** 32;
}
