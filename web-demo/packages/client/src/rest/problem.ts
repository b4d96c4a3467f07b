// Errors of the REST interface as typed exceptions (RFC 9457).
import type { Problem, RefusalCode } from '../generated/wire.ts';

/** The server answered with a problem. */
export class ProblemError extends Error {
  override name = 'ProblemError';

  constructor(readonly problem: Problem) {
    super(problem.detail);
  }

  get code(): RefusalCode {
    return this.problem.code;
  }
}

/** No answer: the network or the server is away. What was asked may or may not have happened;
 *  ask again with the same idempotency key. */
export class NoAnswerError extends Error {
  override name = 'NoAnswerError';
}

/** The problem in an answer that is not a success; made up from the status where there is none. */
export async function problemOf(response: Response): Promise<Problem> {
  const kind = response.headers.get('content-type') ?? '';
  if (kind.startsWith('application/problem+json')) {
    try {
      return (await response.json()) as Problem;
    } catch {
      // the body broke off: the status says enough
    }
  }
  const problem: Problem = {
    type: 'about:blank',
    title: response.statusText,
    status: response.status,
    detail: `${response.status} ${response.statusText}`.trim(),
    code: codeOf(response.status),
  };
  const wait = retryAfterMs(response);
  if (wait !== undefined) problem.retry_after_ms = wait;
  return problem;
}

/** `Retry-After` in ms: seconds or an HTTP date. */
export function retryAfterMs(response: Response): number | undefined {
  const value = response.headers.get('retry-after');
  if (!value) return undefined;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

function codeOf(status: number): RefusalCode {
  if (status === 401) return 'unauthenticated';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not_found';
  if (status === 429) return 'rate_limited';
  if (status === 503) return 'overloaded';
  return status < 500 ? 'invalid' : 'internal';
}
