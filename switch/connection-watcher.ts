// What a connection tells whoever it is for. A contract only, so that those who watch need not know the
// connection's file, nor it theirs.

import type { Connection } from './connection.js';

/** Whoever the connection is for: a connect, a listener, later the application's socket. */
export interface ConnectionWatcher {
  /** The negotiation is complete. */
  established(connection: Connection): void;
  /** Something readable, writable, urgent or at its end may be there. */
  changed(connection: Connection): void;
  /** The SAN socket has been closed: `error` is 0 after a graceful end. */
  ended(connection: Connection, error: number): void;
}

export const NOBODY: ConnectionWatcher = {
  established: () => undefined,
  changed: () => undefined,
  ended: () => undefined,
};
