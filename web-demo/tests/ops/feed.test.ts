// The ops feed as bytes: however they are cut, the same events come out.
import type { OpsSample } from '@vetrina/client';
import { describe, expect, test, vi } from 'vitest';
import { events } from '../../src/ops/feed';
import { History } from '../../src/ops/history.svelte';

function stream(...chunks: string[]): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(encoder.encode(chunk));
      controller.close();
    },
  });
}

async function all(...chunks: string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const data of events(stream(...chunks))) found.push(data);
  return found;
}

describe('event stream', () => {
  const text =
    ': hello\n\ndata: {"a":1}\n\nid: 7\ndata: {"b":\ndata: 2}\n\ndata:x\r\n\r\ndata: lost';

  test('gives the data of each finished event', async () => {
    expect(await all(text)).toEqual(['{"a":1}', '{"b":\n2}', 'x']);
  });

  test('does not care how it is cut', async () => {
    for (let size = 1; size < 12; size += 1) {
      const chunks = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
      expect(await all(...chunks), `pieces of ${size}`).toEqual(['{"a":1}', '{"b":\n2}', 'x']);
    }
  });

  test('ends at an event without end', async () => {
    const endless = all(`data: ${'x'.repeat(600_000)}`);
    await expect(endless).rejects.toThrow('too long');
  });
});

describe('history', () => {
  const sample = (at_ms: number, viewers: number) =>
    ({ at_ms, figures: { viewers } }) as unknown as OpsSample;

  test('drops what a reconnect repeats and leaves a gap where nothing is known', () => {
    const history = new History();
    for (const at of [1_000, 2_000, 2_000, 1_500, 12_000]) history.add(sample(at, at));
    expect(history.columns(['viewers'])).toEqual([
      [1, 2, 2.001, 12],
      [1_000, 2_000, null, 12_000],
    ]);
  });

  test('keeps an hour', () => {
    const history = new History();
    for (let at = 1; at <= 4_000; at += 1) history.add(sample(at * 1_000, at));
    expect(history.columns(['viewers'])[0]).toHaveLength(3_600);
  });

  test('shows the newest one once it has settled', () => {
    vi.useFakeTimers();
    const history = new History();
    history.add(sample(1_000, 1));
    history.add(sample(2_000, 2));
    expect(history.latest).toBeUndefined();
    vi.runAllTimers();
    expect(history.latest?.at_ms).toBe(2_000);
    expect(history.version).toBe(1);
    vi.useRealTimers();
  });
});
