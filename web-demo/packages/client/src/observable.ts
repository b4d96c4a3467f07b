// A value that can be watched. Has the contract of a Svelte store, but needs no framework.

/** Reads and watches a value. */
export interface Readable<T> {
  /** The value now. */
  readonly value: T;
  /** Calls `run` now and after every change, until the returned function is called. */
  subscribe(run: (value: T) => void): () => void;
}

/** A {@link Readable} that its owner may set. */
export class Observable<T> implements Readable<T> {
  #value: T;
  readonly #watchers = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const run of [...this.#watchers]) run(value);
  }

  subscribe(run: (value: T) => void): () => void {
    this.#watchers.add(run);
    run(this.#value);
    return () => void this.#watchers.delete(run);
  }
}

/** Things that happen, by name. A listener that throws does not keep others from hearing. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  /** Calls `run` at every event of that name, until the returned function is called. */
  on<Name extends keyof Events>(name: Name, run: (event: Events[Name]) => void): () => void {
    let listeners = this.#listeners.get(name);
    if (!listeners) {
      listeners = new Set();
      this.#listeners.set(name, listeners);
    }
    listeners.add(run);
    return () => void listeners.delete(run);
  }

  protected emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const run of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (run as (event: Events[Name]) => void)(event);
      } catch (error) {
        reportError(error);
      }
    }
  }
}
