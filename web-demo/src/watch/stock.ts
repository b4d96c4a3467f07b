// The one line about stock, the same words wherever a listing is shown.
import type { Listing } from '@vetrina/client';
import type { WatchWords } from '../words/watch.en';
import type { Card } from './card';

export function stockText(card: Card, { stock }: Listing, t: WatchWords): string {
  switch (card.kind) {
    case 'coming':
      return t.coming;
    case 'over':
      return t.notOnSale;
    case 'soldOut':
      return card.allReserved ? t.allReserved : t.soldOut;
    default:
      return stock.available > 0 ? t.left(stock.available) : t.soldOut;
  }
}
