// What the figures of an upload say in one word for people. Pure: figures in, a verdict out; the
// words themselves are in the message files.
import type { UplinkHealth } from '@vetrina/client';

export type Verdict =
  | { readonly word: 'good' }
  | { readonly word: 'nothing_leaves' }
  | { readonly word: 'nothing_arrives' }
  | { readonly word: 'slow'; readonly sentMbps: number; readonly wantedMbps: number }
  | { readonly word: 'lossy'; readonly percent: number }
  | { readonly word: 'computer_slow'; readonly framesPerSecond: number; readonly wanted: number };

/** Loss from which viewers see it in spite of retransmission. */
const LOSS_PERCENT_MAX = 5;
/** Below this share of what the source wants, people notice. */
const ENOUGH = 0.6;

/** What a source should make. */
export interface Wanted {
  readonly kilobitsPerSecond: number;
  readonly framesPerSecond: number;
}

/** The one thing to say. `arriving` is what the server says; `undefined`: it was not asked yet. */
export function judge(
  uplink: UplinkHealth,
  wanted: Wanted,
  arriving: boolean | undefined,
): Verdict {
  const kilobits = uplink.bitsPerSecond / 1000;
  if (kilobits === 0) return { word: 'nothing_leaves' };
  if (arriving === false) return { word: 'nothing_arrives' };
  if (uplink.lossPercent !== undefined && uplink.lossPercent >= LOSS_PERCENT_MAX) {
    return { word: 'lossy', percent: uplink.lossPercent };
  }
  if (uplink.limitedBy === 'bandwidth' && kilobits < ENOUGH * wanted.kilobitsPerSecond) {
    const [sentMbps, wantedMbps] = [kilobits / 1000, wanted.kilobitsPerSecond / 1000];
    return { word: 'slow', sentMbps, wantedMbps };
  }
  const { framesPerSecond } = uplink;
  if (uplink.limitedBy === 'cpu' && framesPerSecond < ENOUGH * wanted.framesPerSecond) {
    return { word: 'computer_slow', framesPerSecond, wanted: wanted.framesPerSecond };
  }
  return { word: 'good' };
}

/** Kilobits per second that a picture of this size wants, about 0.09 bit per pixel, bounded. */
export function wantedKilobits(width: number, height: number, framesPerSecond: number): number {
  return Math.min(4_000, Math.max(400, (width * height * framesPerSecond * 0.09) / 1000));
}
