// Amounts as people type them, in Italy and elsewhere.
import { describe, expect, test } from 'vitest';
import { parse } from '../../src/studio/money';

describe('a typed amount', () => {
  test.each([
    ['24', 2_400],
    ['24,5', 2_450],
    ['24.50', 2_450],
    ['24,', 2_400],
    ['1.250', 125_000],
    ['1,250.00', 125_000],
    ['1.250,99', 125_099],
    ['1 250,99', 125_099],
    ['12.345.678', 1_234_567_800],
    ['0', 0],
    ['0,05', 5],
  ])('%s is %i cents', (text, minor) => {
    expect(parse(text, 2)).toBe(minor);
  });

  test.each(['', '-1', 'abc', '1.2.3', ',', '1,25,00', '9'.repeat(20), '1e3', '24,5555'])(
    '%s is refused',
    (text) => {
      expect(parse(text, 2)).toBeUndefined();
    },
  );

  test('follows the digits of the currency', () => {
    expect(parse('2.400', 0)).toBe(2_400);
    expect(parse('24,5', 0)).toBeUndefined();
    expect(parse('1,250', 3)).toBe(1_250);
  });
});
