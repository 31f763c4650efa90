// Ctrl-C and SIGTERM as an error that unwinds the command, so that everything open is closed on the way
// out. A command looks at the signal wherever it lets the event loop have a turn.

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
