// What the browser's statistics of an upload say in one word for people. Pure: figures in, a
// verdict out; the words themselves are in the message files.

/** Figures of one look at `RTCPeerConnection.getStats`, as far as the browser gave them. */
export interface Look {
  readonly atMs: number;
  readonly bytesSent: number;
  readonly framesSent: number;
  /** What the encoder aims for, bits per second. */
  readonly targetBitrate?: number | undefined;
  /** What the network is thought to carry, bits per second. */
  readonly availableBitrate?: number | undefined;
  readonly limitedBy?: string | undefined;
  /** Share of packets lost, 0 to 1, as the server reports it. */
  readonly lossShare?: number | undefined;
  readonly roundTripMs?: number | undefined;
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly codec?: string | undefined;
}

/** Figures of the last second. */
export interface Upload {
  readonly kilobitsPerSecond: number;
  readonly framesPerSecond: number;
  readonly lossPercent: number | undefined;
  readonly roundTripMs: number | undefined;
  readonly limitedBy: string | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly codec: string | undefined;
}

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

/** The difference of two looks, or `undefined` when no time passed between them. */
export function between(earlier: Look, later: Look): Upload | undefined {
  const seconds = (later.atMs - earlier.atMs) / 1000;
  if (seconds <= 0) return undefined;
  return {
    kilobitsPerSecond: (Math.max(0, later.bytesSent - earlier.bytesSent) * 8) / 1000 / seconds,
    framesPerSecond: Math.max(0, later.framesSent - earlier.framesSent) / seconds,
    lossPercent: later.lossShare === undefined ? undefined : later.lossShare * 100,
    roundTripMs: later.roundTripMs,
    limitedBy: later.limitedBy,
    width: later.width,
    height: later.height,
    codec: later.codec,
  };
}

/**
 * The one thing to say. `wantedKilobits` and `wantedFrames` are what the source should make;
 * `arriving` is what the server says (`undefined`: it was not asked yet).
 */
export function judge(
  upload: Upload,
  wantedKilobits: number,
  wantedFrames: number,
  arriving: boolean | undefined,
): Verdict {
  if (upload.kilobitsPerSecond === 0) return { word: 'nothing_leaves' };
  if (arriving === false) return { word: 'nothing_arrives' };
  if (upload.lossPercent !== undefined && upload.lossPercent >= LOSS_PERCENT_MAX) {
    return { word: 'lossy', percent: upload.lossPercent };
  }
  if (upload.limitedBy === 'bandwidth' && upload.kilobitsPerSecond < ENOUGH * wantedKilobits) {
    const [sentMbps, wantedMbps] = [upload.kilobitsPerSecond / 1000, wantedKilobits / 1000];
    return { word: 'slow', sentMbps, wantedMbps };
  }
  if (upload.limitedBy === 'cpu' && upload.framesPerSecond < ENOUGH * wantedFrames) {
    const framesPerSecond = upload.framesPerSecond;
    return { word: 'computer_slow', framesPerSecond, wanted: wantedFrames };
  }
  return { word: 'good' };
}

/** Kilobits per second that a picture of this size wants; about 0.1 bit per pixel, bounded. */
export function wantedKilobits(width: number, height: number, framesPerSecond: number): number {
  return Math.min(4_000, Math.max(400, (width * height * framesPerSecond * 0.09) / 1000));
}

/** Reads the statistics of a sending peer. Entries a browser lacks are left out. */
export async function look(peer: RTCPeerConnection): Promise<Look | undefined> {
  const report = await peer.getStats();
  const entries = new Map<string, Record<string, unknown>>();
  report.forEach((entry: { id: string }) => entries.set(entry.id, { ...entry }));
  const all = [...entries.values()];
  const video = all.find((entry) => entry['type'] === 'outbound-rtp' && entry['kind'] === 'video');
  if (!video) return undefined;
  const remote = all.find(
    (entry) => entry['type'] === 'remote-inbound-rtp' && entry['localId'] === video['id'],
  );
  const pair = all.find(
    (entry) => entry['type'] === 'candidate-pair' && entry['nominated'] === true,
  );
  const codec = entries.get(String(video['codecId']));
  const roundTrip = number(remote?.['roundTripTime']) ?? number(pair?.['currentRoundTripTime']);
  const mime = codec?.['mimeType'];
  return {
    atMs: number(video['timestamp']) ?? performance.now(),
    bytesSent: number(video['bytesSent']) ?? 0,
    framesSent: number(video['framesSent']) ?? number(video['framesEncoded']) ?? 0,
    targetBitrate: number(video['targetBitrate']),
    availableBitrate: number(pair?.['availableOutgoingBitrate']),
    limitedBy: text(video['qualityLimitationReason']),
    lossShare: number(remote?.['fractionLost']),
    roundTripMs: roundTrip === undefined ? undefined : roundTrip * 1000,
    width: number(video['frameWidth']),
    height: number(video['frameHeight']),
    codec: typeof mime === 'string' ? mime.replace(/^video\//, '') : undefined,
  };
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
