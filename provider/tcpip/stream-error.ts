// Why a stream broke: the kernel's one time-out is two Winsock errors. It must not know calls.
// Sources: W4.20 (10052, 10053), W5.8; tcp(7), struct tcp_info.

import { errno } from '../../native/errors.js';
import { native } from '../../native/load.js';
import { WSAENETRESET } from '../spi/errors.js';
import type { KernelSocket } from './record.js';
import { LINUX, transferError } from './translate.js';

const TCP_INFO_BYTES = 256;
const RETRANSMITS_OFFSET = 2;
const PROBES_OFFSET = 3;

/** The error of a transfer on a stream, of an errno, positive or negative. */
export function streamError(socket: KernelSocket, number: number): number {
  const isTimeout = Math.abs(number) === errno.ETIMEDOUT;
  return isTimeout && isKeepaliveFailure(socket) ? WSAENETRESET : transferError(number);
}

/** Nothing was under way, and probes stayed without an answer. */
function isKeepaliveFailure({ fd, sends }: KernelSocket): boolean {
  const info = new Uint8Array(TCP_INFO_BYTES);
  const length = native.socketGetOption(fd, LINUX.IPPROTO_TCP, LINUX.TCP_INFO, info);
  const isKnown = length > PROBES_OFFSET && sends.length === 0;
  return isKnown && info[RETRANSMITS_OFFSET] === 0 && info[PROBES_OFFSET] !== 0;
}
