// How the tests run: each file in a process of its own, because a native addon and mapped memory are
// process-wide and a crash must take one file down, not the run. Long tests run only when asked for.

import { defineConfig } from 'vitest/config';

const LONG_TESTS = 'test/**/*.long.test.ts';
const isLong = process.env['WSD_LONG_TESTS'] === '1';

/** A watchdog, not an expectation: nothing healthy comes near it. */
const TIMEOUT_MS = isLong ? 30 * 60_000 : 60_000;

export default defineConfig({
  test: {
    include: [isLong ? LONG_TESTS : 'test/**/*.test.ts'],
    exclude: isLong ? [] : [LONG_TESTS],
    pool: 'forks',
    maxWorkers: 2,
    setupFiles: ['test/watchdog.ts'],
    // Tests of buffer lifetimes need to ask for a collection.
    execArgv: ['--expose-gc'],
    // Never the catalog of whoever runs the tests.
    env: { WSD_CATALOG: '/nonexistent/catalog.json' },
    testTimeout: TIMEOUT_MS,
    hookTimeout: TIMEOUT_MS,
    allowOnly: false,
  },
});
