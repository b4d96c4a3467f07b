// The buyer's address, typed once: for this visit, or on this device if the buyer says so.
import type { Delivery } from '@vetrina/client';

const KEY = 'vetrina.delivery';

export function storedDelivery(): Delivery | undefined {
  try {
    const text = sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY);
    const delivery = text ? (JSON.parse(text) as Delivery) : undefined;
    return delivery && Array.isArray(delivery.lines) ? delivery : undefined;
  } catch {
    return undefined;
  }
}

export function storeDelivery(delivery: Delivery, remember: boolean): void {
  try {
    const text = JSON.stringify(delivery);
    sessionStorage.setItem(KEY, text);
    if (remember) localStorage.setItem(KEY, text);
    else localStorage.removeItem(KEY);
  } catch {
    // no storage: typed again next time
  }
}

/** Countries the form offers; names come from Intl. */
export const COUNTRIES = [
  'AT', 'BE', 'BG', 'CH', 'CY', 'CZ', 'DE', 'DK', 'EE', 'ES', 'FI', 'FR', 'GB', 'GR', 'HR', 'HU',
  'IE', 'IS', 'IT', 'LT', 'LU', 'LV', 'MT', 'NL', 'NO', 'PL', 'PT', 'RO', 'SE', 'SI', 'SK', 'SM',
  'US', 'VA',
] as const;
