// A clock that a machine can read out of a video picture: the time in milliseconds as a grid of
// black and white blocks, big enough to survive a video codec and a smaller resolution.
// It knows bits and brightness; it knows no canvas and no video.
//
// The grid is 16 by 4: 48 bits of time, 12 bits of CRC, and one guard cell in each corner (white,
// black, black, white) that gives the reader its threshold and refuses pictures that are not ours.

export const COLUMNS = 16;
export const ROWS = 4;
const CELLS = COLUMNS * ROWS;
const TIME_BITS = 48;
const CRC_BITS = 12;
const GUARDS: ReadonlyMap<number, boolean> = new Map([
  [0, true],
  [COLUMNS - 1, false],
  [CELLS - COLUMNS, false],
  [CELLS - 1, true],
]);

/** Least difference of brightness (of 255) between the guards for a picture to be readable. */
const CONTRAST_MIN = 80;

/** Where the grid stands, as shares of the picture's width: everything scales with it. */
export const CELL = 1 / 18;
export const LEFT = CELL;
export const TOP = 2 * CELL;

/** White cells of a moment, row by row. */
export function encode(unixMs: number): boolean[] {
  const time = bitsOf(Math.floor(unixMs), TIME_BITS);
  const payload = [...time, ...bitsOf(crc12(time), CRC_BITS)];
  const cells: boolean[] = [];
  let next = 0;
  for (let cell = 0; cell < CELLS; cell += 1) {
    cells.push(GUARDS.get(cell) ?? payload[next++] ?? false);
  }
  return cells;
}

/** The moment in a grid of brightnesses (0 to 255, row by row), or `undefined` if there is none. */
export function decode(brightness: readonly number[]): number | undefined {
  if (brightness.length !== CELLS) return undefined;
  const guards = [...GUARDS].map(([cell, white]) => ({ white, value: brightness[cell] ?? 0 }));
  const white = Math.min(...guards.filter((g) => g.white).map((g) => g.value));
  const black = Math.max(...guards.filter((g) => !g.white).map((g) => g.value));
  if (white - black < CONTRAST_MIN) return undefined;
  const threshold = (white + black) / 2;
  const payload: boolean[] = [];
  brightness.forEach((value, cell) => {
    if (!GUARDS.has(cell)) payload.push(value > threshold);
  });
  const time = payload.slice(0, TIME_BITS);
  if (numberOf(payload.slice(TIME_BITS)) !== crc12(time)) return undefined;
  return numberOf(time);
}

/** Reads the clock out of pixels (RGBA) of a whole picture. */
export function read(pixels: Uint8ClampedArray, width: number): number | undefined {
  const brightness: number[] = [];
  for (let row = 0; row < ROWS; row += 1) {
    for (let column = 0; column < COLUMNS; column += 1) {
      const x = (LEFT + (column + 0.5) * CELL) * width;
      const y = (TOP + (row + 0.5) * CELL) * width;
      brightness.push(around(pixels, width, x, y));
    }
  }
  return decode(brightness);
}

/** How much of a picture's top, as a share of its width, `read` needs. */
export const READ_HEIGHT = TOP + (ROWS + 1) * CELL;

/** Mean green of the nine pixels around a point: codecs ring at edges, not in the middle. */
function around(pixels: Uint8ClampedArray, width: number, x: number, y: number): number {
  let sum = 0;
  for (let dy = -1; dy <= 1; dy += 1) {
    for (let dx = -1; dx <= 1; dx += 1) {
      const at = ((Math.round(y) + dy) * width + Math.round(x) + dx) * 4 + 1;
      sum += pixels[at] ?? 0;
    }
  }
  return sum / 9;
}

function bitsOf(value: number, count: number): boolean[] {
  const bits: boolean[] = [];
  for (let bit = count - 1; bit >= 0; bit -= 1) {
    bits.push(Math.floor(value / 2 ** bit) % 2 === 1);
  }
  return bits;
}

function numberOf(bits: readonly boolean[]): number {
  return bits.reduce((value, bit) => value * 2 + (bit ? 1 : 0), 0);
}

/** CRC-12 (polynomial 0x80F): one flipped block in a picture never passes. */
function crc12(bits: readonly boolean[]): number {
  let crc = 0xfff;
  for (const bit of bits) {
    const carry = ((crc >> 11) & 1) !== (bit ? 1 : 0);
    crc = (crc << 1) & 0xfff;
    if (carry) crc ^= 0x80f;
  }
  return crc;
}
