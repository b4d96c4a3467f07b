// Money and times as people read them.
import { describe, expect, it } from 'vitest';
import { decimal, formatCountdown, formatMoney, minorDigits } from '../src/ui/format';

const plain = (text: string) => text.replace(/[\u00a0\u202f]/g, ' ');

describe('money', () => {
  it('knows the minor digits of a currency', () => {
    expect(minorDigits('EUR')).toBe(2);
    expect(minorDigits('JPY')).toBe(0);
    expect(minorDigits('KWD')).toBe(3);
  });

  it('is an exact decimal up to the largest amount of the wire', () => {
    expect(decimal({ amount_minor: 5, currency: 'EUR' })).toBe('0.05');
    expect(decimal({ amount_minor: -5, currency: 'EUR' })).toBe('-0.05');
    expect(decimal({ amount_minor: 9_007_199_254_740_991, currency: 'EUR' })).toBe(
      '90071992547409.91',
    );
    expect(decimal({ amount_minor: 1500, currency: 'JPY' })).toBe('1500');
  });

  it('is written as the reader writes it', () => {
    expect(plain(formatMoney({ amount_minor: 2400, currency: 'EUR' }, 'it'))).toBe('24,00 €');
    expect(plain(formatMoney({ amount_minor: 2400, currency: 'EUR' }, 'en'))).toBe('€24.00');
    expect(plain(formatMoney({ amount_minor: 9_007_199_254_740_991, currency: 'EUR' }, 'en'))).toBe(
      '€90,071,992,547,409.91',
    );
  });
});

describe('countdown', () => {
  it('rounds up and never goes below nothing', () => {
    expect(formatCountdown(120_000)).toBe('2:00');
    expect(formatCountdown(59_001)).toBe('1:00');
    expect(formatCountdown(1)).toBe('0:01');
    expect(formatCountdown(0)).toBe('0:00');
    expect(formatCountdown(-5)).toBe('0:00');
  });
});
