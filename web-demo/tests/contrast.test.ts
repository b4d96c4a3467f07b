// Text can be read: WCAG contrast of the tokens in light and dark, and of the veil over a white and
// a black frame of video. Read from the style sheets themselves.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

type Rgb = readonly [number, number, number];

const read = (name: string) => readFileSync(new URL(`../src/ui/${name}`, import.meta.url), 'utf8');
const tokens = read('tokens.css');

function hex(text: string): Rgb {
  const value = Number.parseInt(text.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

function token(name: string, theme: 'light' | 'dark'): Rgb {
  const pair = new RegExp(`--${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`).exec(tokens);
  const single = new RegExp(`--${name}: (#[0-9a-f]{6});`).exec(tokens);
  const found = pair ? pair[theme === 'light' ? 1 : 2] : single?.[1];
  if (!found) throw new Error(`no colour --${name}`);
  return hex(found);
}

function luminance(colour: Rgb): number {
  const [r, g, b] = colour.map((channel) => {
    const part = channel / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: Rgb, b: Rgb): number {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const TEXT: [ink: string, on: string][] = [
  ['ink', 'paper'],
  ['ink', 'surface'],
  ['ink', 'surface-2'],
  ['ink', 'buy-soft'],
  ['ink-2', 'paper'],
  ['ink-2', 'surface'],
  ['ink-2', 'surface-2'],
  ['ink-2', 'buy-soft'],
  ['on-buy', 'buy'],
  ['on-buy', 'buy-press'],
  ['buy-ink', 'surface'],
  ['buy-ink', 'surface-2'],
  ['buy-ink', 'buy-soft'],
  ['urgent', 'surface'],
  ['urgent', 'surface-2'],
  ['urgent', 'buy-soft'],
  ['urgent', 'urgent-soft'],
  ['on-urgent', 'urgent'],
  ['good', 'surface'],
  ['good', 'buy-soft'],
  ['good', 'good-soft'],
  ['bad', 'surface'],
  ['bad', 'bad-soft'],
];

describe.each(['light', 'dark'] as const)('%s', (theme) => {
  it.each(TEXT)('%s on %s', (ink, on) => {
    expect(contrast(token(ink, theme), token(on, theme))).toBeGreaterThanOrEqual(4.5);
  });

  it.each(['surface', 'paper'])('borders of fields on %s', (on) => {
    expect(contrast(token('line-strong', theme), token(on, theme))).toBeGreaterThanOrEqual(3);
  });

  it('white on the live mark', () => {
    expect(contrast([255, 255, 255], token('live', theme))).toBeGreaterThanOrEqual(4.5);
  });
});

describe('over video', () => {
  const [, r, g, b, alpha] =
    /veil \{\s*background: rgb\((\d+) (\d+) (\d+) \/ ([\d.]+)\)/.exec(read('app.css')) ?? [];
  const veil: Rgb = [Number(r), Number(g), Number(b)];
  const under = (frame: number) =>
    veil.map((channel) => channel * Number(alpha) + frame * (1 - Number(alpha))) as never as Rgb;
  const NAME = /text-\[(#[0-9a-f]{6})\]/.exec(
    readFileSync(new URL('../src/watch/Comments.svelte', import.meta.url), 'utf8'),
  )?.[1];

  it.each([
    ['a white frame', 255],
    ['a black frame', 0],
  ])('%s', (_what, frame) => {
    expect(contrast([255, 255, 255], under(frame))).toBeGreaterThanOrEqual(4.5);
    expect(contrast(hex(NAME ?? ''), under(frame))).toBeGreaterThanOrEqual(4.5);
  });
});
