// The browser tests: the real server, the built pages, Chromium. One file after the other: they
// measure, and two at a time would measure each other.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: import.meta.dirname,
  test: {
    include: ['*.test.ts'],
    environment: 'node',
    globalSetup: ['contact_sheet.ts'],
    fileParallelism: false,
    sequence: { concurrent: false },
    testTimeout: 300_000,
    hookTimeout: 120_000,
    // A test that builds on the one before says little once that one has failed.
    bail: 0,
    expect: { poll: { timeout: 30_000, interval: 50 } },
    reporters: ['verbose'],
  },
});
