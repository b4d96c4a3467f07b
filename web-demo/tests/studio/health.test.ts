// Health in words: each verdict has the figures that lead to it, and the worst one wins.
import { describe, expect, test } from 'vitest';
import { between, judge, wantedKilobits, type Look, type Upload } from '../../src/studio/health';

const GOOD: Upload = {
  kilobitsPerSecond: 2_400,
  framesPerSecond: 30,
  lossPercent: 0,
  roundTripMs: 20,
  limitedBy: 'none',
  width: 720,
  height: 1280,
  codec: 'VP8',
};

describe('health in words', () => {
  test('is good when everything leaves and arrives', () => {
    expect(judge(GOOD, 2_500, 30, true)).toEqual({ word: 'good' });
    expect(judge(GOOD, 2_500, 30, undefined)).toEqual({ word: 'good' });
  });

  test('is not slow when a still picture simply needs little', () => {
    expect(judge({ ...GOOD, kilobitsPerSecond: 90 }, 2_500, 30, true)).toEqual({ word: 'good' });
  });

  test('says how slow the network is', () => {
    const verdict = judge(
      { ...GOOD, kilobitsPerSecond: 800, limitedBy: 'bandwidth' }, 2_500, 30, true);
    expect(verdict).toEqual({ word: 'slow', sentMbps: 0.8, wantedMbps: 2.5 });
  });

  test('says that the computer is too slow', () => {
    const verdict = judge({ ...GOOD, framesPerSecond: 12, limitedBy: 'cpu' }, 2_500, 30, true);
    expect(verdict).toEqual({ word: 'computer_slow', framesPerSecond: 12, wanted: 30 });
  });

  test('puts loss before slowness, and nothing before everything', () => {
    const lossy = { ...GOOD, kilobitsPerSecond: 800, limitedBy: 'bandwidth', lossPercent: 7 };
    expect(judge(lossy, 2_500, 30, true)).toEqual({ word: 'lossy', percent: 7 });
    expect(judge(lossy, 2_500, 30, false)).toEqual({ word: 'nothing_arrives' });
    expect(judge({ ...lossy, kilobitsPerSecond: 0 }, 2_500, 30, false)).toEqual({
      word: 'nothing_leaves',
    });
  });

  test('takes rates from two looks', () => {
    const first: Look = { atMs: 1_000, bytesSent: 1_000, framesSent: 10 };
    const second: Look = { atMs: 3_000, bytesSent: 251_000, framesSent: 70, lossShare: 0.02 };
    const upload = between(first, second);
    expect(upload).toMatchObject({ kilobitsPerSecond: 1_000, framesPerSecond: 30, lossPercent: 2 });
    expect(between(first, first)).toBeUndefined();
  });

  test('wants more for a bigger picture, within bounds', () => {
    expect(wantedKilobits(540, 960, 30)).toBeLessThan(wantedKilobits(1080, 1920, 30));
    expect(wantedKilobits(3840, 2160, 60)).toBe(4_000);
    expect(wantedKilobits(16, 16, 1)).toBe(400);
  });
});
