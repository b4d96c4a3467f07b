// An amount as a person types it, in minor units: '24', '24,5', '1.250,00'. No floating point.
// Writing money down is the work of ui/format.

/** Largest amount on the wire. */
const AMOUNT_MINOR_MAX = Number.MAX_SAFE_INTEGER;

/** Minor units of what was typed, or `undefined` when it is not an amount of this currency. */
export function parse(text: string, digits: number): number | undefined {
  const compact = text.replace(/[\s\u00a0\u202f'’]/g, '');
  const parts = split(compact, digits);
  if (!parts || !/^\d+$/.test(parts.whole) || !/^\d*$/.test(parts.fraction)) return undefined;
  if (parts.fraction.length > digits) return undefined;
  const minor = Number(parts.whole + parts.fraction.padEnd(digits, '0'));
  return minor <= AMOUNT_MINOR_MAX ? minor : undefined;
}

/** The last sign is the decimal one, unless it can only part thousands ('1.250', '1,250,000'). */
function split(text: string, digits: number): { whole: string; fraction: string } | undefined {
  const signs = [...text.matchAll(/[.,]/g)];
  const last = signs.at(-1);
  if (!last) return { whole: text, fraction: '' };
  const after = text.slice(last.index + 1);
  const repeated = signs.length > 1 && signs.every((sign) => sign[0] === last[0]);
  const parts = repeated || (after.length === 3 && digits !== 3);
  const whole = parts ? text : text.slice(0, last.index);
  const groups = whole.split(/[.,]/);
  const grouped = groups.slice(1).every((group) => group.length === 3) && groups[0] !== '';
  if (!grouped) return undefined;
  return { whole: groups.join(''), fraction: parts ? '' : after };
}
