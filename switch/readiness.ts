// What select, WSAPoll, WSAEventSelect and peeks ask of a SAN connection: whether a call would have to wait.
// Sources: XFER-15, W8.1.13, W9.

import type { Connection } from './connection.js';

/** A receive would not wait: data, the end, or failure. Fetches large data that it would wait for. */
export function canRead(connection: Connection): boolean {
  if (!connection.session.isReadable) fetchReadable(connection);
  return connection.session.isReadable;
}

/** A send of one byte would not wait: there is room for it, or it would fail. */
export function canWrite(connection: Connection): boolean {
  const { session } = connection;
  if (session.sendSpaceFor(1) === 0) connection.reclaimAll();
  return session.sendSpaceFor(1) > 0 || session.sendRefusal !== 0 || connection.isLossHeld;
}

/** A receive with MSG_OOB would not wait. [W8.1.13] */
export function hasOob({ session }: Connection): boolean {
  return session.hasUrgent;
}

/** Brings large data that waits to where a reader finds it. */
export function fetchReadable(connection: Connection): void {
  connection.session.wantReadable(connection.now());
  connection.drain();
}
