// The REST interface: requests with a bearer token, problems as typed errors, pages by cursor.
import type {
  BroadcastHealth,
  DeskOrder,
  Listing,
  ListingPatch,
  NewListing,
  NewProduct,
  NewShow,
  NewSku,
  Order,
  Page,
  Picture,
  Product,
  ProductPatch,
  Show,
  ShowPatch,
  Sku,
} from '../generated/wire.ts';
import { newKey } from '../clock.ts';
import { NoAnswerError, problemOf, ProblemError } from './problem.ts';
import type { TokenSource } from './tokens.ts';

export interface RestOptions {
  /** The server's origin. */
  readonly origin: string;
  /** Without it, requests go out as nobody. */
  readonly tokens?: TokenSource;
  readonly fetch?: typeof fetch;
}

export interface RequestOptions {
  readonly query?: Record<string, string | number | undefined>;
  readonly body?: unknown;
  /** The idempotency key of a POST; made here when absent. Keep it to ask the same again. */
  readonly key?: string;
  readonly signal?: AbortSignal;
}

type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';

const id = encodeURIComponent;

export class Rest {
  readonly #fetch: typeof fetch;

  constructor(private readonly options: RestOptions) {
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
  }

  /** Any request of the interface. A token that was refused is replaced once.
   *  @throws ProblemError the server's answer is a problem.
   *  @throws NoAnswerError there was no answer. */
  async request<T>(method: Method, path: string, options: RequestOptions = {}): Promise<T> {
    const key = method === 'POST' ? (options.key ?? newKey()) : undefined;
    let { response, token } = await this.#send(method, path, options, key);
    if (response.status === 401 && token && this.options.tokens) {
      this.options.tokens.reject(token);
      ({ response } = await this.#send(method, path, options, key));
    }
    if (!response.ok) throw new ProblemError(await problemOf(response));
    if (response.status === 204) return undefined as T;
    return (await response.json()) as T;
  }

  /** Every item of a list, page by page. */
  async *all<T>(
    path: string,
    query: Record<string, string | number | undefined> = {},
  ): AsyncGenerator<T> {
    let cursor: string | undefined;
    do {
      const page: Page<T> = await this.request('GET', path, { query: { ...query, cursor } });
      yield* page.items;
      cursor = page.next_cursor;
    } while (cursor !== undefined);
  }

  shows(query: { cursor?: string; limit?: number } = {}): Promise<Page<Show>> {
    return this.request('GET', '/v1/shows', { query });
  }
  show(show: string): Promise<Show> {
    return this.request('GET', `/v1/shows/${id(show)}`);
  }
  createShow(body: NewShow, key?: string): Promise<Show> {
    return this.request('POST', '/v1/shows', withKey(body, key));
  }
  changeShow(show: string, body: ShowPatch): Promise<Show> {
    return this.request('PATCH', `/v1/shows/${id(show)}`, { body });
  }
  health(show: string): Promise<BroadcastHealth> {
    return this.request('GET', `/v1/shows/${id(show)}/broadcast`);
  }

  listings(show: string, query: { cursor?: string; limit?: number } = {}): Promise<Page<Listing>> {
    return this.request('GET', `/v1/shows/${id(show)}/listings`, { query });
  }
  createListing(show: string, body: NewListing, key?: string): Promise<Listing> {
    return this.request('POST', `/v1/shows/${id(show)}/listings`, withKey(body, key));
  }
  changeListing(show: string, listing: string, body: ListingPatch): Promise<Listing> {
    return this.request('PATCH', `/v1/shows/${id(show)}/listings/${id(listing)}`, { body });
  }

  products(query: { cursor?: string; limit?: number } = {}): Promise<Page<Product>> {
    return this.request('GET', '/v1/products', { query });
  }
  product(product: string): Promise<Product> {
    return this.request('GET', `/v1/products/${id(product)}`);
  }
  createProduct(body: NewProduct, key?: string): Promise<Product> {
    return this.request('POST', '/v1/products', withKey(body, key));
  }
  changeProduct(product: string, body: ProductPatch): Promise<Product> {
    return this.request('PATCH', `/v1/products/${id(product)}`, { body });
  }
  createSku(product: string, body: NewSku, key?: string): Promise<Sku> {
    return this.request('POST', `/v1/products/${id(product)}/skus`, withKey(body, key));
  }

  orders(show: string, query: { cursor?: string; limit?: number } = {}): Promise<Page<DeskOrder>> {
    return this.request('GET', `/v1/shows/${id(show)}/orders`, { query });
  }
  order(order: string): Promise<Order> {
    return this.request('GET', `/v1/orders/${id(order)}`);
  }
  /** Gives the whole amount of a paid order back, once; for the host. */
  refund(order: string, key?: string): Promise<Order> {
    return this.request('POST', `/v1/orders/${id(order)}/refund`, withKey(undefined, key));
  }

  /** Uploads a picture, to be named in products and shows. */
  uploadPicture(picture: Blob, key?: string): Promise<Picture> {
    return this.request('POST', '/v1/pictures', withKey(picture, key));
  }

  async #send(
    method: Method,
    path: string,
    { query, body, signal }: RequestOptions,
    key: string | undefined,
  ): Promise<{ response: Response; token: string | undefined }> {
    const url = new URL(path, this.options.origin);
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const headers: Record<string, string> = { accept: 'application/json' };
    const token = await this.options.tokens?.get();
    if (token) headers['authorization'] = `Bearer ${token}`;
    if (key) headers['idempotency-key'] = key;
    const init: RequestInit = { method, headers, ...(signal ? { signal } : {}) };
    if (body instanceof Blob) {
      headers['content-type'] = body.type;
      init.body = body;
    } else if (body !== undefined) {
      headers['content-type'] = 'application/json';
      init.body = JSON.stringify(body);
    }
    try {
      return { response: await this.#fetch(url, init), token };
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new NoAnswerError(`no answer to ${method} ${path}`, { cause: error });
    }
  }
}

function withKey(body: unknown, key: string | undefined): RequestOptions {
  return key === undefined ? { body } : { body, key };
}
