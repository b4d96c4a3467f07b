// Commands on their way: each keeps its id and key until it is answered, so that after a broken
// connection it is sent again as the same command and the server repeats its first answer.
import {
  ADVICE,
  type Advice,
  type ClientMessage,
  type Done,
  type RefusalCode,
} from '../generated/wire.ts';
import { newKey, type Runtime } from '../clock.ts';

/** Why a command was not carried out. `offline` and `closed` are said by this client itself:
 *  it was never sent, or the session is over for good. */
export interface Refusal {
  readonly code: RefusalCode | 'offline' | 'closed';
  /** For people, in the server's words; empty when said by the client. */
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly advice: Advice;
}

/** What became of a command. A refusal is a value, never an exception. */
export type Answer =
  { readonly ok: true; readonly done: Done } | { readonly ok: false; readonly refusal: Refusal };

type Keyed = Extract<ClientMessage, { key: string }>;
type Body<M> = M extends unknown ? Omit<M, 'id' | 'key'> : never;
/** A command with a lasting effect, without the id and key that the SDK gives it. */
export type Command = Body<Keyed>;

/** Most commands that wait for an answer; one more is refused here. */
export const PENDING_MAX = 100;
/** A command that could not be sent for so long is given up: people have moved on. */
export const UNSENT_MS_MAX = 15_000;
/** How often `try_again` is obeyed without asking the person. */
export const RETRIES_MAX = 3;

interface Pending {
  readonly message: Keyed;
  readonly answer: (answer: Answer) => void;
  sent: boolean;
  retries: number;
  /** Takes back the timer that gives up or retries. */
  forget: () => void;
}

/** The commands that wait for an answer. */
export class Commands {
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  constructor(
    private readonly runtime: Runtime,
    /** Puts messages on the wire; `false` when there is no open session. */
    private readonly send: (messages: ClientMessage[]) => boolean,
  ) {}

  /** Ids of commands, pings and the like come from one counter. */
  nextId(): number {
    const id = this.#nextId;
    this.#nextId = id >= 0xffff_ffff ? 1 : id + 1;
    return id;
  }

  run(command: Command): Promise<Answer> {
    if (this.#pending.size >= PENDING_MAX) return Promise.resolve(said('offline', 'retry'));
    const id = this.nextId();
    const message = { ...command, id, key: newKey() } as Keyed;
    return new Promise((answer) => {
      const pending: Pending = { message, answer, sent: false, retries: 0, forget: () => {} };
      this.#pending.set(id, pending);
      pending.sent = this.send([message]);
      if (!pending.sent) {
        pending.forget = this.runtime.after(UNSENT_MS_MAX, () => {
          if (!pending.sent) this.#settle(id, said('offline', 'retry'));
        });
      }
    });
  }

  /** After every `Welcome`: what is unanswered goes out again, oldest first, with the same keys. */
  resend(): void {
    const waiting = [...this.#pending.values()];
    if (waiting.length === 0) return;
    if (!this.send(waiting.map(({ message }) => message))) return;
    for (const pending of waiting) {
      pending.forget();
      pending.forget = () => {};
      pending.sent = true;
    }
  }

  done(done: Done): void {
    this.#settle(done.id, { ok: true, done });
  }

  refused(id: number, code: RefusalCode, message: string, retryAfterMs: number | undefined): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    if (code === 'try_again' && pending.retries < RETRIES_MAX) {
      pending.retries += 1;
      pending.sent = false;
      const wait = (retryAfterMs ?? 200) * (1 + this.runtime.random() / 2);
      pending.forget = this.runtime.after(wait, () => {
        pending.sent = this.send([pending.message]);
      });
      return;
    }
    const refusal: Refusal = { code, message, advice: ADVICE[code] ?? 'stop' };
    this.#settle(id, {
      ok: false,
      refusal: retryAfterMs === undefined ? refusal : { ...refusal, retryAfterMs },
    });
  }

  /** The session is over for good: nobody will answer any more. */
  close(): void {
    for (const id of [...this.#pending.keys()]) this.#settle(id, said('closed', 'stop'));
  }

  #settle(id: number, answer: Answer): void {
    const pending = this.#pending.get(id);
    if (!pending) return; // answered before the connection broke, and again after
    this.#pending.delete(id);
    pending.forget();
    pending.answer(answer);
  }
}

function said(code: 'offline' | 'closed', advice: Advice): Answer {
  return { ok: false, refusal: { code, message: '', advice } };
}
