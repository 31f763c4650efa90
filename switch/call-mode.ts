// How a data call waits, and which attributes and arguments decide it. Sources: W4.3 to W4.7, W9.1,
// APP-01; the TRAPs of W4.4 and W4.5 by profile.

import type { Profile } from '../provider/spi/profile.js';
import type { WSAOVERLAPPED, WSAOVERLAPPED_COMPLETION_ROUTINE } from '../provider/spi/winsock2.js';
import type { SwitchSocket } from './socket.js';

export const CallMode = { overlapped: 0, blocking: 1, nonblocking: 2 } as const;
export type CallMode = (typeof CallMode)[keyof typeof CallMode];

/** `capable`: the socket has the overlapped attribute, or the caller is a promise twin. */
export function sendMode(
  profile: Profile,
  socket: SwitchSocket,
  capable: boolean,
  overlapped: WSAOVERLAPPED | null,
  routine: WSAOVERLAPPED_COMPLETION_ROUTINE | null,
): CallMode {
  // W4.3, W4.4: the attribute and either of the two; the routine alone depends on the profile.
  const isAsked = overlapped !== null || (routine !== null && profile.routineAloneIsOverlapped);
  if (capable && isAsked) return CallMode.overlapped;
  return waitingMode(profile, socket, overlapped);
}

/** W4.4: no page lets a routine alone make a receive overlapped. */
export function receiveMode(
  profile: Profile,
  socket: SwitchSocket,
  capable: boolean,
  overlapped: WSAOVERLAPPED | null,
): CallMode {
  if (capable && overlapped !== null) return CallMode.overlapped;
  return waitingMode(profile, socket, overlapped);
}

/** W4.5: where the structure is not ignored, a nonoverlapped call with one blocks. */
function waitingMode(
  profile: Profile,
  socket: SwitchSocket,
  overlapped: WSAOVERLAPPED | null,
): CallMode {
  const ignores = overlapped === null || profile.nonoverlappedIgnoresOverlapped;
  return socket.nonBlocking && ignores ? CallMode.nonblocking : CallMode.blocking;
}
