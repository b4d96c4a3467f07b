// Health in words: each verdict has the figures that lead to it, and the worst one wins.
import type { UplinkHealth } from '@vetrina/client';
import { describe, expect, test } from 'vitest';
import { judge, wantedKilobits } from '../../src/studio/health';

const GOOD: UplinkHealth = {
  bitsPerSecond: 2_400_000,
  availableBitsPerSecond: 5_000_000,
  framesPerSecond: 30,
  lossPercent: 0,
  roundTripMs: 20,
  width: 720,
  height: 1280,
  limitedBy: undefined,
};
const WANTED = { kilobitsPerSecond: 2_500, framesPerSecond: 30 };

describe('health in words', () => {
  test('is good when everything leaves and arrives', () => {
    expect(judge(GOOD, WANTED, true)).toEqual({ word: 'good' });
    expect(judge(GOOD, WANTED, undefined)).toEqual({ word: 'good' });
  });

  test('is not slow when a still picture simply needs little', () => {
    expect(judge({ ...GOOD, bitsPerSecond: 90_000 }, WANTED, true)).toEqual({ word: 'good' });
  });

  test('says how slow the network is', () => {
    const slow = { ...GOOD, bitsPerSecond: 800_000, limitedBy: 'bandwidth' };
    expect(judge(slow, WANTED, true)).toEqual({ word: 'slow', sentMbps: 0.8, wantedMbps: 2.5 });
  });

  test('says that the computer is too slow', () => {
    const slow = { ...GOOD, framesPerSecond: 12, limitedBy: 'cpu' };
    expect(judge(slow, WANTED, true)).toEqual({
      word: 'computer_slow',
      framesPerSecond: 12,
      wanted: 30,
    });
  });

  test('puts loss before slowness, and nothing before everything', () => {
    const lossy = { ...GOOD, bitsPerSecond: 800_000, limitedBy: 'bandwidth', lossPercent: 7 };
    expect(judge(lossy, WANTED, true)).toEqual({ word: 'lossy', percent: 7 });
    expect(judge(lossy, WANTED, false)).toEqual({ word: 'nothing_arrives' });
    expect(judge({ ...lossy, bitsPerSecond: 0 }, WANTED, false)).toEqual({
      word: 'nothing_leaves',
    });
  });

  test('wants more for a bigger picture, within bounds', () => {
    expect(wantedKilobits(540, 960, 30)).toBeLessThan(wantedKilobits(1080, 1920, 30));
    expect(wantedKilobits(3840, 2160, 60)).toBe(4_000);
    expect(wantedKilobits(16, 16, 1)).toBe(400);
  });
});
