// Fixture shops: one per state, with the hard cases in them (long names, twelve-digit prices).
import type {
  Comment,
  Listing,
  Order,
  OrderState,
  Reservation,
  ShowState,
  Stock,
  View,
} from '@vetrina/client';
import { Shop, type Link } from '../src/watch/shop.svelte';
import { paintedStream } from './painted';

const NOW = Date.UTC(2026, 10, 22, 20, 15);
const eur = (amount_minor: number) => ({ amount_minor, currency: 'EUR' });

function svg(hue: number, shape: string): string {
  const body = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96"><rect width="96" height="96" fill="hsl(${hue} 30% 88%)"/><path d="${shape}" fill="hsl(${hue} 55% 42%)"/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(body)}`;
}
const VASE = 'M38 16h20l-4 14c14 8 18 22 14 36-2 8-8 14-20 14s-18-6-20-14c-4-14 0-28 14-36z';
const BOWL = 'M16 40h64c0 22-14 36-32 36S16 62 16 40z';
const CLOTH = 'M22 18h52v60l-8-6-8 6-8-6-8 6-8-6-12 6z';

const stock = (available: number, change: Partial<Stock> = {}): Stock => ({
  total: 24,
  reserved: 0,
  claimed: 24 - available,
  paid: 24 - available,
  available,
  waiting: 0,
  ...change,
});

const LISTINGS: Listing[] = [
  {
    id: 'vase',
    product: 'p1',
    sku: 's1',
    title: 'Vase, thrown by hand',
    variant: 'cobalt blue',
    description:
      'Stoneware from Nove, thrown on the wheel and fired twice. Holds water. Each one is a little different; you get the one in the picture.',
    picture_url: svg(222, VASE),
    price: eur(2400),
    per_buyer: 2,
    position: 0,
    stock: stock(12),
  },
  {
    id: 'bowl',
    product: 'p2',
    sku: 's2',
    title: 'Salad bowl with olive glaze',
    variant: '28 cm',
    picture_url: svg(90, BOWL),
    price: eur(3850),
    per_buyer: 2,
    position: 1,
    stock: stock(3),
  },
  {
    id: 'long',
    product: 'p3',
    sku: 's3',
    title: 'Donaudampfschifffahrtsgesellschaftskapitänstischdecke aus reinem Leinen',
    variant: 'Übergröße 340 × 180 cm, naturweiß mit Hohlsaum',
    picture_url: svg(30, CLOTH),
    price: eur(99_999_999_999_9),
    per_buyer: 1,
    position: 2,
    stock: stock(1),
  },
  {
    id: 'cloth',
    product: 'p4',
    sku: 's4',
    title: 'Linen runner',
    picture_url: svg(12, CLOTH),
    price: eur(1900),
    per_buyer: 3,
    position: 3,
    stock: stock(0),
  },
  {
    id: 'plain',
    product: 'p5',
    sku: 's5',
    title: 'Surprise from the kiln',
    price: eur(500),
    per_buyer: 5,
    position: 4,
    stock: stock(20),
  },
];

const SAID: [string, string, Comment['author']['role']][] = [
  ['anna', 'bellissimo', 'viewer'],
  ['Marco', 'is there a blue one?', 'viewer'],
  ['Ceramiche Rossi', 'Yes, the blue one comes next', 'host'],
  [
    'Maximiliane-Friederike von Hohenlohe-Lang',
    'Wie groß ist die Donaudampfschifffahrtsgesellschaftskapitänstischdecke denn genau, und kann man sie bei sechzig Grad waschen?',
    'viewer',
  ],
  ['giulia', 'reserved one, thank you', 'viewer'],
  ['Tom', 'do you ship to Ireland?', 'viewer'],
  ['Ceramiche Rossi', 'We do, about four days', 'host'],
  ['anna', 'the glaze is lovely', 'viewer'],
];

const comments: Comment[] = SAID.map(([name, text, role], at) => ({
  id: `c${at}`,
  author: { id: name, name, role },
  text,
  at_ms: NOW - (20 - at) * 4_000,
}));

function view(state: ShowState, change: Partial<View> = {}): View {
  return {
    show: {
      id: 'show',
      seller: 'seller',
      seller_name: 'Ceramiche Rossi, Nove',
      title: 'Autumn kiln opening',
      state,
      currency: 'EUR',
      reservation_ttl_s: 120,
      order_deadline_s: 600,
      whep_url: '/',
      whip_url: '/',
      poster_url: svg(222, VASE),
    },
    listings: LISTINGS,
    pin: undefined,
    comments,
    slowModeSeconds: 0,
    muted: new Set(),
    ...change,
  };
}

function reservation(
  listing: string,
  leftMs: number,
  change: Partial<Reservation> = {},
): Reservation {
  return {
    id: `r-${listing}`,
    listing,
    quantity: 1,
    unit_price: LISTINGS.find(({ id }) => id === listing)?.price ?? eur(0),
    state: 'reserved',
    expires_at_ms: NOW + leftMs,
    extensions_left: 2,
    from_waitlist: false,
    ...change,
  };
}

function order(state: OrderState, listing = 'vase', change: Partial<Order> = {}): Order {
  const sold = LISTINGS.find(({ id }) => id === listing);
  const price = sold?.price ?? eur(0);
  return {
    id: `o-${state}`,
    number: 'V-1042',
    show: 'show',
    state,
    total: price,
    created_at_ms: NOW - 90_000,
    pay_by_ms: NOW + 512_000,
    version: 1,
    lines: [
      {
        reservation: 'r',
        listing,
        title: sold?.title ?? '',
        variant: sold?.variant ?? '',
        quantity: 1,
        unit_price: price,
        total: price,
      },
    ],
    delivery: {
      name: 'Anna Bianchi',
      lines: ['Via Roma 1', 'int. 4'],
      postcode: '36055',
      city: 'Nove',
      country: 'IT',
    },
    ...(state === 'paid' ? { paid_at_ms: NOW - 30_000 } : {}),
    ...change,
  };
}

/** A pay page stand-in that is as plain as the sandbox provider's. */
const PAGE = `data:text/html,${encodeURIComponent('<meta charset=utf-8><body style="font:16px system-ui;padding:2rem;color:%23222;background:white"><h1>Sandbox payments</h1><p>EUR 24.00</p><button>Approve</button> <button>Decline</button>')}`;

type Make = (shop: Shop) => void;
const pin =
  (listing: string): Make =>
  (shop) => {
    shop.pinned = { listing, pinned_at_ms: NOW };
  };
const mine = (shop: Shop, change: Partial<Shop['mine']>) => {
  shop.mine = { ...shop.mine, ...change };
};
const all =
  (...makes: Make[]): Make =>
  (shop) =>
    makes.forEach((make) => make(shop));
const withOrder =
  (state: OrderState, change: Partial<Order> = {}): Make =>
  (shop) => {
    mine(shop, { orders: [order(state, 'vase', change)] });
  };
const sheetOf =
  (sheet: Shop['sheet']): Make =>
  (shop) => {
    shop.sheet = sheet;
  };
const soldOut: Make = (shop) => {
  shop.view = view('live', {
    listings: LISTINGS.map((one) =>
      one.id === 'cloth' ? { ...one, stock: stock(0, { waiting: 3 }) } : one,
    ),
  });
};
const twoReserved: Make = (shop) =>
  mine(shop, {
    reservations: [
      reservation('long', 14_000),
      reservation('vase', 83_000, { quantity: 2 }),
      reservation('bowl', 119_000, { extensions_left: 0 }),
    ],
  });

export const STATES = {
  empty: (shop) => {
    shop.view = view('live', { listings: [], comments: [] });
  },
  nothingPinned: () => {},
  scheduled: (shop) => {
    shop.view = view('scheduled');
    shop.view.show.starts_at_ms = NOW + 12 * 60_000;
    shop.picture = false;
  },
  coming: all(pin('vase'), (shop) => {
    shop.view = view('scheduled');
    shop.picture = false;
  }),
  onSale: pin('vase'),
  fewLeft: pin('bowl'),
  longest: all(pin('long'), (shop) => {
    if (shop.view) shop.view.show.title = 'Weihnachtsmarktvorbereitungssonderverkauf';
    shop.viewers = 123_456;
  }),
  longestReserved: all(pin('long'), twoReserved),
  noPicture: pin('plain'),
  reserved: all(pin('vase'), (shop) =>
    mine(shop, { reservations: [reservation('vase', 102_000)] }),
  ),
  urgent: all(pin('vase'), (shop) => mine(shop, { reservations: [reservation('vase', 17_000)] })),
  urgentNoMore: all(pin('vase'), (shop) =>
    mine(shop, { reservations: [reservation('vase', 7_000, { extensions_left: 0 })] }),
  ),
  soldOut: all(soldOut, pin('cloth')),
  allReserved: all(pin('cloth'), (shop) => {
    shop.view = view('live', {
      listings: LISTINGS.map((one) =>
        one.id === 'cloth' ? { ...one, stock: stock(0, { claimed: 20, reserved: 4 }) } : one,
      ),
    });
  }),
  waiting: all(soldOut, pin('cloth'), (shop) =>
    mine(shop, { waitlist: [{ listing: 'cloth', quantity: 1, position: 4 }] }),
  ),
  waitingNext: all(soldOut, pin('cloth'), (shop) =>
    mine(shop, { waitlist: [{ listing: 'cloth', quantity: 1, position: 1 }] }),
  ),
  offer: all(pin('cloth'), (shop) => {
    mine(shop, { reservations: [reservation('cloth', 74_000, { from_waitlist: true })] });
    shop.say('good', shop.t.offerArrived('Linen runner'));
  }),
  unpaid: all(pin('vase'), withOrder('pending')),
  declinedCard: all(pin('vase'), withOrder('declined')),
  paidCard: all(pin('vase'), withOrder('paid')),
  refusal: all(pin('bowl'), (shop) =>
    shop.say('bad', 'There are fewer left than you asked for. Try a smaller number.'),
  ),
  reconnecting: all(pin('vase'), (shop) => {
    shop.connection = { state: 'reconnecting', attempt: 2, retryAt: 0 };
    shop.draft = 'is it dishwasher safe';
  }),
  closed: (shop) => {
    shop.connection = { state: 'closed', code: 4006, reason: '' };
    shop.view = undefined;
    shop.picture = false;
  },
  connecting: (shop) => {
    shop.connection = { state: 'connecting' };
    shop.view = undefined;
    shop.me = undefined;
    shop.picture = false;
  },
  waitingVideo: all(pin('vase'), (shop) => {
    shop.picture = false;
  }),
  interrupted: all(pin('vase'), (shop) => {
    shop.view = view('interrupted');
  }),
  ended: all(pin('vase'), withOrder('paid'), (shop) => {
    shop.view = view('ended');
    shop.picture = false;
  }),
  endedOver: all(pin('bowl'), (shop) => {
    shop.view = view('ended');
    shop.picture = false;
  }),
  typing: all(pin('vase'), (shop) => {
    shop.draft = 'Kann man die Vase auch mit Untersetzer bekommen und wenn ja in welcher Farbe?';
    shop.outgoing = [{ number: 1, text: 'just a moment', id: undefined }];
  }),
  productSheet: all(pin('vase'), sheetOf({ name: 'product', listing: 'vase', mediaTime: 1 })),
  productLong: sheetOf({ name: 'product', listing: 'long', mediaTime: 1 }),
  productSoldOut: all(
    soldOut,
    sheetOf({ name: 'product', listing: 'cloth', mediaTime: undefined }),
  ),
  productsSheet: all(soldOut, pin('bowl'), twoReserved, sheetOf({ name: 'products' })),
  bagSheet: all(twoReserved, sheetOf({ name: 'bag' })),
  bagEmpty: sheetOf({ name: 'bag' }),
  address: all(pin('vase'), (shop) => {
    mine(shop, { reservations: [reservation('vase', 95_000)] });
    shop.sheet = { name: 'pay', reservations: ['r-vase'] };
  }),
  payOpening: all(withOrder('pending'), sheetOf({ name: 'order', order: 'o-pending' })),
  payFrame: all(
    withOrder('pending', { payment: { provider: 'sandbox', url: PAGE } }),
    sheetOf({ name: 'order', order: 'o-pending' }),
  ),
  payDeclined: all(
    withOrder('declined', { payment: { provider: 'sandbox', url: PAGE } }),
    sheetOf({ name: 'order', order: 'o-declined' }),
  ),
  paid: all(withOrder('paid'), sheetOf({ name: 'order', order: 'o-paid' })),
  paidLong: all(
    (shop) => mine(shop, { orders: [order('paid', 'long')] }),
    sheetOf({ name: 'order', order: 'o-paid' }),
  ),
  expired: all(withOrder('expired'), sheetOf({ name: 'order', order: 'o-expired' })),
  canceled: all(withOrder('canceled'), sheetOf({ name: 'order', order: 'o-canceled' })),
  refunding: all(withOrder('refunding'), sheetOf({ name: 'order', order: 'o-refunding' })),
  refunded: all(withOrder('refunded'), sheetOf({ name: 'order', order: 'o-refunded' })),
  orders: all(
    (shop) =>
      mine(shop, {
        orders: [
          order('pending'),
          order('declined', 'long'),
          order('paid', 'bowl'),
          order('expired'),
          order('refunding', 'cloth'),
        ],
      }),
    sheetOf({ name: 'orders' }),
  ),
  ordersEmpty: sheetOf({ name: 'orders' }),
  share: sheetOf({ name: 'share' }),
  rename: (shop) => {
    shop.view = view('live', { comments: [] });
    shop.sheet = { name: 'rename' };
  },
  settings: sheetOf({ name: 'settings' }),
} satisfies Record<string, Make>;

export type StateName = keyof typeof STATES;

/** A link to nowhere: commands stay unanswered, so that "busy" can be looked at, too. */
const link: Link = {
  command: () => new Promise(() => {}),
  heart: () => {},
  rename: async () => false,
  mediaTime: () => 90_000,
  video: () => () => {},
};

export function fixtureShop(state: StateName, frame: string): Shop {
  const shop = new Shop(link);
  shop.delivery = undefined;
  shop.connection = { state: 'open' };
  shop.view = view('live');
  shop.me = { session: 's', user: 'u', name: 'Guest 4182', role: 'viewer' };
  shop.viewers = 1234;
  shop.now = NOW;
  shop.picture = true;
  STATES[state](shop);
  if (shop.picture) shop.stream = paintedStream(frame);
  return shop;
}
