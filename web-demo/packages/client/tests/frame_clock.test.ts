// The frame clock: exact by frame, right across the wrap-around, patient, and never stuck.
import { describe, expect, it, vi } from 'vitest';
import {
  FrameClock,
  NO_VIDEO_MS,
  reached,
  unwrap,
  WAIT_MS_MAX,
  WAITING_MAX,
  type FrameSource,
} from '../src/video/frame_clock.ts';
import { Timeline } from '../src/video/timeline.ts';
import { TestRuntime } from './harness.ts';

const WRAP = 2 ** 32;

/** A <video> whose frames the test paints. */
class TestVideo {
  #callbacks = new Map<number, VideoFrameRequestCallback>();
  #next = 1;
  addEventListener = vi.fn();
  removeEventListener = vi.fn();
  requestVideoFrameCallback = (callback: VideoFrameRequestCallback) => {
    this.#callbacks.set(this.#next, callback);
    return this.#next++;
  };
  cancelVideoFrameCallback = (handle: number) => void this.#callbacks.delete(handle);

  paints(rtpTimestamp: number | undefined, times: Partial<VideoFrameCallbackMetadata> = {}): void {
    const due = [...this.#callbacks.values()];
    this.#callbacks.clear();
    const metadata = { rtpTimestamp, ...times } as VideoFrameCallbackMetadata;
    for (const callback of due) callback(0, metadata);
  }
}

function rig(receiver?: { rtpTimestamp: number; timestamp: number }) {
  const runtime = new TestRuntime();
  const video = new TestVideo();
  const sources = receiver ? [{ source: 1, ...receiver }] : [];
  const clock = new FrameClock({
    runtime,
    serverNow: () => 1_000,
    receiver: () => ({ getSynchronizationSources: () => sources }),
  });
  clock.attach(video as unknown as FrameSource);
  return { runtime, video, clock, sources };
}

describe('reached', () => {
  it.each([
    [90_000, 90_000, true],
    [89_999, 90_000, false],
    [93_000, 90_000, true],
    // the media time has passed 2^32, the RTP timestamp shows its low half
    [5, WRAP + 5, true],
    [4, WRAP + 5, false],
    // around the wrap
    [10, WRAP - 10, true],
    [WRAP - 10, WRAP + 10, false],
    [WRAP - 1, WRAP - 1, true],
    [0, WRAP, true],
    [0, 3 * WRAP + 1, false],
    [2, 3 * WRAP + 1, true],
    // beyond 2^53 / 90 kHz nobody lives, but up to there it is exact
    [(2 ** 52 + 7) % WRAP, 2 ** 52 + 7, true],
    [((2 ** 52 + 7) % WRAP) - 1, 2 ** 52 + 7, false],
  ])('%d for %d: %s', (rtp, mediaTime, expected) => {
    expect(reached(rtp, mediaTime)).toBe(expected);
  });
});

it('unwraps to the nearest 64-bit media time', () => {
  expect(unwrap(10, WRAP - 10)).toBe(WRAP + 10);
  expect(unwrap(WRAP - 10, WRAP + 10)).toBe(WRAP - 10);
  expect(unwrap(500, 5 * WRAP + 400)).toBe(5 * WRAP + 500);
  expect(unwrap(3_000, 0)).toBe(3_000);
});

describe('when', () => {
  it('runs with the frame, not before', () => {
    const { video, clock } = rig();
    const run = vi.fn();
    video.paints(1_000);
    clock.when(4_000, run);
    video.paints(3_999);
    expect(run).not.toHaveBeenCalled();
    video.paints(4_000);
    expect(run).toHaveBeenCalledOnce();
  });

  it('runs at once for a frame that is past', () => {
    const { video, clock } = rig();
    const run = vi.fn();
    video.paints(9_000);
    clock.when(4_000, run);
    expect(run).toHaveBeenCalledOnce();
  });

  it('keeps the order, also of what has no frame', () => {
    const { video, clock } = rig();
    const order: string[] = [];
    video.paints(1_000);
    clock.when(4_000, () => order.push('pin'));
    clock.when(undefined, () => order.push('unpin'));
    clock.when(2_000, () => order.push('back-dated pin'));
    expect(order).toEqual([]);
    video.paints(4_100);
    expect(order).toEqual(['pin', 'unpin', 'back-dated pin']);
  });

  it('waits two seconds when the video is two seconds late', async () => {
    const { runtime, video, clock } = rig();
    const run = vi.fn();
    let rtp = WRAP - 90_000;
    video.paints(rtp);
    clock.when(WRAP + 90_000, run);
    for (let frame = 1; frame <= 60; frame += 1) {
      await runtime.pass(1000 / 30);
      rtp = (rtp + 3_000) % WRAP;
      video.paints(rtp);
      expect(run).toHaveBeenCalledTimes(frame < 60 ? 0 : 1);
    }
  });

  it('does not wait for a video that is not there', async () => {
    const { runtime, clock } = rig();
    const run = vi.fn();
    clock.when(4_000, run);
    await runtime.pass(NO_VIDEO_MS - 50);
    expect(run).not.toHaveBeenCalled();
    await runtime.pass(100);
    expect(run).toHaveBeenCalledOnce();
  });

  it('does not wait for a video that stopped', async () => {
    const { runtime, video, clock } = rig();
    const run = vi.fn();
    video.paints(1_000);
    clock.when(90_000, run);
    await runtime.pass(NO_VIDEO_MS + 50);
    expect(run).toHaveBeenCalledOnce();
  });

  it('waits for no frame longer than the limit', async () => {
    const { runtime, video, clock } = rig();
    const run = vi.fn();
    clock.when(2 ** 31 - 1, run);
    for (let ms = 0; ms < WAIT_MS_MAX; ms += 500) {
      expect(run).not.toHaveBeenCalled();
      video.paints(ms);
      await runtime.pass(500);
    }
    await runtime.pass(50);
    expect(run).toHaveBeenCalledOnce();
  });

  it('holds a bounded number', () => {
    const { video, clock } = rig();
    video.paints(0);
    let ran = 0;
    for (let at = 0; at < WAITING_MAX + 3; at += 1) clock.when(90_000, () => (ran += 1));
    expect(ran).toBe(3);
  });
});

describe('without rtpTimestamp', () => {
  it('estimates from what the receiver played', () => {
    const source = { rtpTimestamp: 1_000, timestamp: performance.timeOrigin + performance.now() };
    const { video, clock, sources } = rig(source);
    const run = vi.fn();
    video.paints(undefined);
    clock.when(500_000, run);
    expect(run).not.toHaveBeenCalled();
    sources[0]!.rtpTimestamp = 500_000;
    video.paints(undefined);
    expect(run).toHaveBeenCalledOnce();
    expect(clock.now?.exact).toBe(false);
  });
});

describe('by a clock of the frames', () => {
  /** 30 frames a second; the receiver is up to two frames ahead of the screen. */
  const AHEAD = [2, 1, 2, 0, 1, 2];

  it.each(['captureTime', 'mediaTime'] as const)('%s, tied to what was delivered', (name) => {
    const first = WRAP - 30_000; // wraps on the way
    const source = { rtpTimestamp: first, timestamp: performance.timeOrigin + performance.now() };
    const { video, clock, sources } = rig(source);
    let onScreen = 0;
    const paint = () => {
      const ahead = AHEAD[onScreen % AHEAD.length] ?? 0;
      sources[0]!.rtpTimestamp = (first + (onScreen + ahead) * 3_000) % WRAP;
      const at = 5_000 + (onScreen * 1_000) / 30;
      video.paints(undefined, { [name]: name === 'captureTime' ? at : at / 1_000 });
      onScreen += 1;
    };
    for (let frame = 0; frame < 12; frame += 1) paint();
    const run = vi.fn();
    clock.when(first + 20 * 3_000, run);
    while (onScreen < 20) paint();
    expect(run).not.toHaveBeenCalled();
    paint();
    expect(run).toHaveBeenCalledOnce();
    expect(clock.now).toEqual({ mediaTime: first + 20 * 3_000, exact: false });
  });

  it('follows a delay that grows: old ties are forgotten', () => {
    const source = { rtpTimestamp: 0, timestamp: performance.timeOrigin + performance.now() };
    const { video, clock, sources } = rig(source);
    for (let frame = 0; frame < 200; frame += 1) {
      sources[0]!.rtpTimestamp = frame * 3_000;
      const delay = frame < 100 ? 0 : 0.5;
      video.paints(undefined, { mediaTime: frame / 30 + delay });
    }
    expect(clock.now?.mediaTime).toBe(199 * 3_000);
  });

  it('without a receiver, by the time it came and the clock of the server', () => {
    const runtime = new TestRuntime();
    const video = new TestVideo();
    const skew = 7_000;
    const options = { serverNow: () => runtime.wall() + skew, roundTripMs: () => 40 };
    const clock = new FrameClock({ runtime, ...options });
    clock.attach(video as unknown as FrameSource);
    const came = runtime.monotonic() - 500;
    const atServer = runtime.wall() + skew - 500 - 20;
    // The publisher's clock runs 30 ms ahead by now; one stamp met a frame that was not new.
    clock.stamped(Math.round((atServer + 30) * 90), atServer);
    clock.stamped(Math.round((atServer + 10) * 90), atServer);
    video.paints(undefined, { receiveTime: came, mediaTime: 1 });
    const mediaTime = clock.now?.mediaTime ?? 0;
    expect(Math.abs(mediaTime / 90 - (atServer + 30))).toBeLessThan(1);
  });

  it('shows at once what nothing tells the frame of, while frames come', () => {
    const { video, clock } = rig();
    const run = vi.fn();
    clock.when(4_000, run);
    expect(run).not.toHaveBeenCalled();
    video.paints(undefined);
    expect(run).toHaveBeenCalledOnce();
  });
});

describe('the timeline', () => {
  it('begins at the wall clock', () => {
    expect(new Timeline().at(1_000)).toBe(90_000);
  });

  it('follows the stamp that is furthest ahead, of the last few', () => {
    const timeline = new Timeline();
    timeline.note(90_000 + 450, 1_000);
    timeline.note(180_000 - 900, 2_000);
    expect(timeline.at(3_000)).toBe(270_450);
    for (let at = 3_000; at < 11_000; at += 1_000) timeline.note(at * 90 - 900, at);
    expect(timeline.at(20_000)).toBe(20_000 * 90 - 900);
  });

  it('is not misled by a back-dated pin, nor by one without video', () => {
    const timeline = new Timeline();
    timeline.note((10_000 - 1_000) * 90, 10_000);
    timeline.note(undefined, 11_000);
    expect(timeline.at(20_000)).toBe(20_000 * 90);
  });
});

describe('now', () => {
  it('takes the high bits from the server clock before a pin has told them', () => {
    const runtime = new TestRuntime();
    const video = new TestVideo();
    const serverNow = () => 1_795_330_800_000;
    const clock = new FrameClock({ runtime, serverNow });
    clock.attach(video as unknown as FrameSource);
    const mediaTime = 1_795_330_800_000 * 90 - 45_000;
    video.paints(mediaTime % WRAP);
    expect(clock.now).toEqual({ mediaTime, exact: true });
  });

  it('is the 64-bit media time on screen', () => {
    const { video, clock } = rig();
    expect(clock.now).toBeUndefined();
    video.paints(90_100);
    expect(clock.now).toEqual({ mediaTime: 90_100, exact: true });
    clock.when(WRAP + 50, () => {});
    video.paints(200);
    expect(clock.now?.mediaTime).toBe(WRAP + 200);
    clock.detach();
    expect(clock.now).toBeUndefined();
  });
});
