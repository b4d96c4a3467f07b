// Money, numbers and times for people. Amounts come from the server as integer minor units and are
// never computed with here, only written down.
import type { Money } from '@vetrina/client';

const moneyFormats = new Map<string, Intl.NumberFormat>();

function moneyFormat(tag: string, currency: string): Intl.NumberFormat {
  const key = `${tag} ${currency}`;
  let format = moneyFormats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(tag, { style: 'currency', currency });
    moneyFormats.set(key, format);
  }
  return format;
}

/** Digits after the decimal point of a currency: 2 for EUR, 0 for JPY, 3 for KWD. */
export function minorDigits(currency: string): number {
  return moneyFormat('en', currency).resolvedOptions().maximumFractionDigits ?? 2;
}

/** Minor units as an exact decimal text: 123456 EUR is "1234.56". No floating point on the way. */
export function decimal(money: Money): string {
  const digits = minorDigits(money.currency);
  const sign = money.amount_minor < 0 ? '-' : '';
  const text = Math.abs(money.amount_minor)
    .toString()
    .padStart(digits + 1, '0');
  if (digits === 0) return sign + text;
  return `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

/** A price as the reader writes it: "24,00 €" in Italian, "€24.00" in English. */
export function formatMoney(money: Money, tag: string): string {
  return moneyFormat(tag, money.currency).format(decimal(money) as Intl.StringNumericLiteral);
}

/** A count: 1234 is "1,234". */
export function formatNumber(count: number, tag: string): string {
  return new Intl.NumberFormat(tag).format(count);
}

/** A count where there is little room: 1234 is "1.2K". */
export function formatCompact(count: number, tag: string): string {
  return new Intl.NumberFormat(tag, { notation: 'compact', maximumFractionDigits: 1 }).format(
    count,
  );
}

/** Time left as m:ss, rounded up so that it shows 0:00 only when nothing is left. */
export function formatCountdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${(seconds % 60).toString().padStart(2, '0')}`;
}

/** A moment in full, for titles and hover: "22 November 2026, 09:15". */
export function formatExact(ms: number, tag: string): string {
  return new Intl.DateTimeFormat(tag, { dateStyle: 'long', timeStyle: 'short' }).format(ms);
}

/** A moment relative to now: "3 minutes ago". */
export function formatRelative(ms: number, now: number, tag: string): string {
  const format = new Intl.RelativeTimeFormat(tag, { numeric: 'auto' });
  const seconds = Math.round((ms - now) / 1000);
  if (Math.abs(seconds) < 60) return format.format(seconds, 'second');
  const minutes = Math.round(seconds / 60);
  if (Math.abs(minutes) < 60) return format.format(minutes, 'minute');
  const hours = Math.round(minutes / 60);
  if (Math.abs(hours) < 24) return format.format(hours, 'hour');
  return format.format(Math.round(hours / 24), 'day');
}
