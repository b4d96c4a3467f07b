// One WHIP or WHEP session over HTTP: POST an offer, PATCH the candidates, DELETE at the end.
// RFC 9725 and draft-ietf-wish-whep. Knows nothing of tracks or of when to come back.
import { NoAnswerError, problemOf, ProblemError } from '../rest/problem.ts';
import type { TokenSource } from '../rest/tokens.ts';

export interface SessionOptions {
  /** The WHIP or WHEP endpoint. */
  readonly url: string;
  readonly tokens: TokenSource;
  readonly fetch?: typeof fetch;
}

/** Candidates are gathered for at most so long before the one PATCH that tells them. */
const GATHER_MS_MAX = 2_000;

export class HttpSession {
  readonly #fetch: typeof fetch;
  #location: string | undefined;
  #etag: string | undefined;
  #candidates: RTCIceCandidate[] = [];
  #over = false;

  constructor(private readonly options: SessionOptions) {
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
  }

  /** Offers, and applies the answer.
   *  @throws ProblemError the server refused; its `problem` says why and when to try again.
   *  @throws NoAnswerError the server did not answer. */
  async open(peer: RTCPeerConnection): Promise<void> {
    const gathered = this.#gather(peer);
    await peer.setLocalDescription();
    const offer = peer.localDescription?.sdp ?? '';
    const response = await this.#request(
      this.options.url,
      'POST',
      {
        'content-type': 'application/sdp',
        accept: 'application/sdp',
      },
      offer,
    );
    if (response.status !== 201) throw new ProblemError(await problemOf(response));
    const location = response.headers.get('location');
    this.#location = location
      ? new URL(location, response.url || this.options.url).href
      : undefined;
    this.#etag = response.headers.get('etag') ?? undefined;
    const sdp = await response.text();
    if (this.#over) return void this.close();
    await peer.setRemoteDescription({ type: 'answer', sdp });
    void gathered.then(() => this.#tellCandidates(peer));
  }

  /** Frees the session at the server. Safe to call at any time, more than once. */
  async close(): Promise<void> {
    this.#over = true;
    const location = this.#location;
    this.#location = undefined;
    if (!location) return;
    try {
      await this.#request(location, 'DELETE', {}, undefined, true);
    } catch {
      // The server is away or has forgotten us; without consent it ends the session by itself.
    }
  }

  #gather(peer: RTCPeerConnection): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, GATHER_MS_MAX);
      peer.addEventListener('icecandidate', ({ candidate }) => {
        if (candidate && candidate.candidate !== '') this.#candidates.push(candidate);
        if (candidate) return;
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** One PATCH with all candidates. A server that cannot use it (405, 422) learns our addresses
   *  from the connectivity checks, so that no answer to this is an error. */
  async #tellCandidates(peer: RTCPeerConnection): Promise<void> {
    const sdp = peer.localDescription?.sdp;
    if (this.#over || !this.#location || !sdp || this.#candidates.length === 0) return;
    const headers: Record<string, string> = { 'content-type': 'application/trickle-ice-sdpfrag' };
    if (this.#etag) headers['if-match'] = this.#etag;
    try {
      const response = await this.#request(
        this.#location,
        'PATCH',
        headers,
        sdpFragment(sdp, this.#candidates),
      );
      this.#etag = response.headers.get('etag') ?? this.#etag;
    } catch {
      // as above
    }
  }

  async #request(
    url: string,
    method: string,
    headers: Record<string, string>,
    body?: string,
    keepalive = false,
  ): Promise<Response> {
    const token = await this.options.tokens.get();
    const init: RequestInit = {
      method,
      headers: { ...headers, authorization: `Bearer ${token}` },
      keepalive,
      ...(body === undefined ? {} : { body }),
    };
    let response: Response;
    try {
      response = await this.#fetch(url, init);
    } catch (error) {
      throw new NoAnswerError(`no answer to ${method}`, { cause: error });
    }
    if (response.status === 401) this.options.tokens.reject(token);
    return response;
  }
}

/** RFC 8840: the credentials and candidates of the first, bundling media section. */
export function sdpFragment(sdp: string, candidates: readonly RTCIceCandidate[]): string {
  const lines = sdp.split(/\r?\n/);
  const media = lines.find((line) => line.startsWith('m='));
  const pick = (prefix: string) => lines.find((line) => line.startsWith(prefix));
  const head = [pick('a=ice-ufrag:'), pick('a=ice-pwd:'), media, pick('a=mid:')];
  const mid = pick('a=mid:')?.slice('a=mid:'.length);
  const own = candidates
    .filter(({ sdpMid }) => sdpMid === null || sdpMid === mid)
    .map(({ candidate }) => `a=${candidate}`);
  const all = [...head, ...own, 'a=end-of-candidates'];
  return all.filter((line) => line !== undefined).join('\r\n') + '\r\n';
}
