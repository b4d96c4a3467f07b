// The clock in the picture: what was drawn is read back, and what was not drawn never is.
import { describe, expect, test } from 'vitest';
import {
  CELL,
  COLUMNS,
  LEFT,
  ROWS,
  TOP,
  decode,
  encode,
  read,
} from '../../src/studio/picture/clock';

const MOMENT = 1_795_330_812_347;

function brightness(cells: boolean[]): number[] {
  return cells.map((white) => (white ? 230 : 25));
}

/** A picture of the given width with the grid of `unixMs` on grey. */
function picture(unixMs: number, width: number): Uint8ClampedArray {
  const height = Math.ceil(width * 0.6);
  const pixels = new Uint8ClampedArray(width * height * 4).fill(128);
  encode(unixMs).forEach((white, cell) => {
    const x0 = Math.round((LEFT + (cell % COLUMNS) * CELL) * width);
    const y0 = Math.round((TOP + Math.floor(cell / COLUMNS) * CELL) * width);
    const size = Math.round(CELL * width);
    for (let y = y0; y < y0 + size; y += 1) {
      for (let x = x0; x < x0 + size; x += 1)
        pixels.fill(white ? 235 : 16, (y * width + x) * 4, (y * width + x) * 4 + 4);
    }
  });
  return pixels;
}

describe('clock in the picture', () => {
  test('reads back what was drawn, to the millisecond', () => {
    for (let step = 0; step < 2_000; step += 1) {
      const moment = MOMENT + step * 37;
      expect(decode(brightness(encode(moment)))).toBe(moment);
    }
  });

  test('has one cell per place', () => {
    expect(encode(MOMENT)).toHaveLength(COLUMNS * ROWS);
  });

  test('refuses every single flipped cell', () => {
    const cells = encode(MOMENT);
    for (let flip = 0; flip < cells.length; flip += 1) {
      const bad = cells.map((white, cell) => (cell === flip ? !white : white));
      expect(decode(brightness(bad)), `cell ${flip}`).toBeUndefined();
    }
  });

  test('refuses pictures without a clock', () => {
    expect(decode(Array.from({ length: COLUMNS * ROWS }, () => 120))).toBeUndefined();
    expect(decode([])).toBeUndefined();
    expect(read(new Uint8ClampedArray(320 * 200 * 4), 320)).toBeUndefined();
  });

  test('is readable at any resolution a codec scales to', () => {
    for (const width of [540, 405, 360, 270, 180]) {
      expect(read(picture(MOMENT, width), width), `${width} px`).toBe(MOMENT);
    }
  });
});
