// One WHIP or WHEP session over HTTP: POST an offer, PATCH the candidates, PATCH again to restart
// ICE, DELETE at the end. RFC 9725 and draft-ietf-wish-whep. Knows nothing of tracks or of when to
// come back.
import { NoAnswerError, problemOf, ProblemError } from '../rest/problem.ts';
import type { TokenSource } from '../rest/tokens.ts';

export interface SessionOptions {
  /** The WHIP or WHEP endpoint; a function is asked anew for every session, because video may have
   *  moved to another node. */
  readonly url: string | (() => Promise<string>);
  readonly tokens: TokenSource;
  readonly fetch?: typeof fetch;
}

/** Candidates are gathered for at most so long before the one PATCH that tells them. */
const GATHER_MS_MAX = 2_000;
const FRAGMENT = 'application/trickle-ice-sdpfrag';

export class HttpSession {
  readonly #fetch: typeof fetch;
  #location: string | undefined;
  #etag: string | undefined;
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
    const { url: endpoint } = this.options;
    const url = typeof endpoint === 'string' ? endpoint : await endpoint();
    const response = await this.#request(
      url,
      'POST',
      {
        'content-type': 'application/sdp',
        accept: 'application/sdp',
      },
      offer,
    );
    if (response.status !== 201) throw new ProblemError(await problemOf(response));
    const location = response.headers.get('location');
    this.#location = location ? new URL(location, response.url || url).href : undefined;
    this.#etag = response.headers.get('etag') ?? undefined;
    const sdp = await response.text();
    if (this.#over) return void this.close();
    await peer.setRemoteDescription({ type: 'answer', sdp });
    void gathered.then((candidates) => this.#tellCandidates(peer, candidates));
  }

  /** New paths for the same session (RFC 9725, section 4.3.3): tracks, keys and the session's
   *  address stay. Media goes on once a path is found, which the peer connection tells.
   *  @throws ProblemError the server does not restart this session: it needs a new one.
   *  @throws NoAnswerError the server did not answer. */
  async restart(peer: RTCPeerConnection, signal?: AbortSignal): Promise<void> {
    const location = this.#location;
    const answered = peer.remoteDescription?.sdp;
    if (this.#over || !location || !answered) throw new NoAnswerError('no session to restart');
    const gathered = this.#gather(peer);
    await peer.setLocalDescription(await peer.createOffer({ iceRestart: true }));
    const offer = peer.localDescription?.sdp ?? '';
    // Any entity tag will do: the restart makes a new one, whatever candidates were told before.
    const headers = { 'content-type': FRAGMENT, 'if-match': '*' };
    const fragment = sdpFragment(offer);
    const response = await this.#request(location, 'PATCH', headers, fragment, { signal });
    if (response.status !== 200) throw new ProblemError(await problemOf(response));
    this.#etag = response.headers.get('etag') ?? undefined;
    const sdp = restarted(answered, await response.text());
    if (this.#over) return;
    await peer.setRemoteDescription({ type: 'answer', sdp });
    void gathered.then((candidates) => this.#tellCandidates(peer, candidates));
  }

  /** Frees the session at the server. Safe to call at any time, more than once. */
  async close(): Promise<void> {
    this.#over = true;
    const location = this.#location;
    this.#location = undefined;
    if (!location) return;
    try {
      await this.#request(location, 'DELETE', {}, undefined, { keepalive: true });
    } catch {
      // The server is away or has forgotten us; without consent it ends the session by itself.
    }
  }

  /** The candidates from now until the end of gathering. */
  #gather(peer: RTCPeerConnection): Promise<readonly RTCIceCandidate[]> {
    return new Promise((resolve) => {
      const candidates: RTCIceCandidate[] = [];
      const found = ({ candidate }: RTCPeerConnectionIceEvent) => {
        if (candidate && candidate.candidate !== '') candidates.push(candidate);
        if (!candidate) end();
      };
      const end = () => {
        clearTimeout(timer);
        peer.removeEventListener('icecandidate', found);
        resolve(candidates);
      };
      const timer = setTimeout(end, GATHER_MS_MAX);
      peer.addEventListener('icecandidate', found);
    });
  }

  /** One PATCH with all candidates. A server that cannot use it (405, 422) learns our addresses
   *  from the connectivity checks, so that no answer to this is an error. */
  async #tellCandidates(
    peer: RTCPeerConnection,
    candidates: readonly RTCIceCandidate[],
  ): Promise<void> {
    const sdp = peer.localDescription?.sdp;
    if (this.#over || !this.#location || !sdp || candidates.length === 0) return;
    const headers: Record<string, string> = { 'content-type': FRAGMENT };
    if (this.#etag) headers['if-match'] = this.#etag;
    try {
      const fragment = sdpFragment(sdp, candidates);
      const response = await this.#request(this.#location, 'PATCH', headers, fragment);
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
    more: { keepalive?: boolean; signal?: AbortSignal | undefined } = {},
  ): Promise<Response> {
    const token = await this.options.tokens.get();
    const init: RequestInit = {
      method,
      headers: { ...headers, authorization: `Bearer ${token}` },
      keepalive: more.keepalive ?? false,
      ...(more.signal ? { signal: more.signal } : {}),
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

/** RFC 8840: the credentials of the first, bundling media section; with candidates, these are all
 *  that there are. */
export function sdpFragment(sdp: string, candidates?: readonly RTCIceCandidate[]): string {
  const lines = sdp.split(/\r?\n/);
  const media = lines.find((line) => line.startsWith('m='));
  const pick = (prefix: string) => lines.find((line) => line.startsWith(prefix));
  const head = [pick('a=ice-ufrag:'), pick('a=ice-pwd:'), media, pick('a=mid:')];
  const mid = pick('a=mid:')?.slice('a=mid:'.length);
  const own = candidates
    ?.filter(({ sdpMid }) => sdpMid === null || sdpMid === mid)
    .map(({ candidate }) => `a=${candidate}`);
  const all = [...head, ...(own ? [...own, 'a=end-of-candidates'] : [])];
  return all.filter((line) => line !== undefined).join('\r\n') + '\r\n';
}

/** The answer that a session had, with the credentials and candidates of a restart's fragment.
 *  Every media section states them: with BUNDLE they share one transport.
 *  @throws NoAnswerError the fragment has no credentials. */
export function restarted(answer: string, fragment: string): string {
  const isOf = (names: readonly string[]) => (line: string) =>
    names.some((name) => line.startsWith(`a=${name}`));
  const lines = (text: string) => text.split(/\r?\n/).filter((line) => line !== '');
  const fresh = lines(fragment);
  const credentials = [...new Set(fresh.filter(isOf(['ice-ufrag:', 'ice-pwd:'])))];
  if (credentials.length !== 2) throw new NoAnswerError('a restart without new credentials');
  const paths = fresh.filter(isOf(['candidate:', 'end-of-candidates']));
  const old = isOf(['ice-ufrag:', 'ice-pwd:', 'candidate:', 'end-of-candidates']);
  const [session = '', ...media] = lines(answer)
    .filter((line) => !old(line))
    .join('\r\n')
    .split(/\r\n(?=m=)/);
  const sections = media.map((section) => [section, ...credentials, ...paths].join('\r\n'));
  return [session, ...sections].join('\r\n') + '\r\n';
}
