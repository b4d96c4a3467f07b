// The golden vectors of the protocol: what the Rust side writes is what we read, and the other way.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Codec } from '../src/index.ts';
import type { ClientMessage } from '../src/generated/wire.ts';

interface Vector {
  readonly name: string;
  readonly from: 'client' | 'server';
  readonly json: unknown[];
  readonly msgpack_hex: string;
}

const file = new URL('../../../../protocol/tests/golden/vectors.json', import.meta.url);
const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vector[];
const codec = new Codec('msgpack');

it.each(vectors)('$from: $name', ({ from, json, msgpack_hex }) => {
  const bytes = Uint8Array.from(Buffer.from(msgpack_hex, 'hex'));
  expect(codec.decode(bytes)).toEqual(json);
  expect(new Codec('json').decode(JSON.stringify(json))).toEqual(json);
  if (from === 'server') return;
  const [frame, ...more] = codec.encode(json as ClientMessage[]);
  if (!(frame instanceof Uint8Array)) throw new Error('not bytes');
  expect(more).toEqual([]);
  // Maps have no order, so the bytes may differ, but not in number.
  expect(frame.length).toBe(bytes.length);
  expect(codec.decode(frame)).toEqual(json);
});

it('refuses what is not an array of messages', () => {
  expect(() => codec.decode(Uint8Array.of(0x80))).toThrow('not an array');
  expect(() => codec.decode(Uint8Array.of(0x91))).toThrow('not an array');
  expect(() => codec.decode('[]')).toThrow('not an array');
  expect(() => new Codec('json').decode('{"type":"Welcome"}')).toThrow('not an array');
});
