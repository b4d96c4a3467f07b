// Tests that are steps of one story: after one has failed, the ones behind it would only wait for
// what never comes, so they are skipped.
import { beforeEach } from 'vitest';

/** Call it at the top of a `describe`. */
export function steps(): void {
  let failed = false;
  beforeEach((context) => {
    if (failed) context.skip('a step before this one failed');
    context.onTestFailed(() => {
      failed = true;
    });
  });
}
