// Ctrl-C and SIGTERM as an error that unwinds the command, so that everything open is closed on the way
// out; and the breath in which a command that blocks its thread notices them.

import { Interrupted } from './errors.js';

/** Aborted, with an Interrupted as the reason, by the first SIGINT or SIGTERM. */
export function onInterruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    // Stays installed: npm passes on a Ctrl-C that has reached this process already.
    process.on(signal, () => controller.abort(new Interrupted(signal)));
  }
  return controller.signal;
}

/** Lets the event loop have a turn, then throws Interrupted if a signal has come. */
export async function breathe(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  signal.throwIfAborted();
}

/** Settles like `work`, or rejects with Interrupted as soon as a signal comes. */
export async function orInterrupted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let stop = (): void => undefined;
  const interrupted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([work, interrupted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
