// What the network answered to messages sent earlier: the kernel's error queue of a datagram socket,
// read and boiled down to the one error that Winsock reports later. It must not know calls.
// Sources: W5.7, W6.7, W15.4; ip(7) IP_RECVERR, icmp(7).

import { native } from '../../native/load.js';
import { MESSAGE_WORDS } from '../../native/binding.js';
import { readControlMessages } from '../spi/control-message.js';
import * as wsa from '../spi/errors.js';
import * as ws from '../spi/winsock2.js';
import { writeInt } from './kernel-option.js';
import type { KernelSocket } from './record.js';
import { LINUX } from './translate.js';

/** struct sock_extended_err: errno, then origin, type and code, one byte each. */
const ORIGIN_OFFSET = 4;
const TYPE_OFFSET = 5;
const CODE_OFFSET = 6;
const ORIGIN_ICMP = 2;
const ORIGIN_ICMP6 = 3;

const CONTROL_BYTES = 512;

const control = new Uint8Array(CONTROL_BYTES);
const told = new Int32Array(MESSAGE_WORDS);
const nothing: Uint8Array[] = [];
const noLengths: number[] = [];

/** Has the kernel keep what the network answers, for unconnected sockets too. */
export function askForNetworkErrors({ fd, type, family }: KernelSocket): void {
  if (type !== ws.SOCK_DGRAM) return;
  writeInt(fd, LINUX.IPPROTO_IP, LINUX.IP_RECVERR, 1);
  if (family === ws.AF_INET6) writeInt(fd, LINUX.IPPROTO_IPV6, LINUX.IPV6_RECVERR, 1);
}

/**
 * Takes what the kernel keeps, the last answer counting. Returns whether there was any: the failure
 * of a call that finds some was about earlier messages, not its own.
 */
export function takeNetworkErrors(socket: KernelSocket): boolean {
  const { message, fd } = socket;
  if (message === null) return false;
  let isAny = false;
  for (;;) {
    const flags = LINUX.MSG_ERRQUEUE;
    const taken = native.socketReceiveMessage(
      fd,
      nothing,
      noLengths,
      0,
      flags,
      null,
      control,
      told,
    );
    if (taken < 0) return isAny;
    for (const { level, data } of readControlMessages(control, told[1] ?? 0) ?? []) {
      const code = level === LINUX.IPPROTO_IPV6 ? errorOfIcmp6(data) : errorOfIcmp(data);
      if (code === null) continue;
      isAny = true;
      if (code !== wsa.WSAECONNRESET || message.tellsUnreachable) message.networkError = code;
    }
  }
}

/** The error to report now, once; 0: none. */
export function takeNetworkError(socket: KernelSocket): number {
  const { message } = socket;
  if (message === null) return 0;
  const { networkError } = message;
  message.networkError = 0;
  return networkError;
}

function errorOfIcmp(data: Uint8Array): number | null {
  const DESTINATION_UNREACHABLE = 3;
  const TIME_EXCEEDED = 11;
  if (data[ORIGIN_OFFSET] !== ORIGIN_ICMP) return null;
  if (data[TYPE_OFFSET] === TIME_EXCEEDED) return wsa.WSAENETRESET;
  if (data[TYPE_OFFSET] !== DESTINATION_UNREACHABLE) return null;
  switch (data[CODE_OFFSET]) {
    case 0:
      return wsa.WSAENETUNREACH;
    case 1:
      return wsa.WSAEHOSTUNREACH;
    case 3:
      return wsa.WSAECONNRESET;
    default:
      return null;
  }
}

function errorOfIcmp6(data: Uint8Array): number | null {
  const DESTINATION_UNREACHABLE = 1;
  const TIME_EXCEEDED = 3;
  if (data[ORIGIN_OFFSET] !== ORIGIN_ICMP6) return null;
  if (data[TYPE_OFFSET] === TIME_EXCEEDED) return wsa.WSAENETRESET;
  if (data[TYPE_OFFSET] !== DESTINATION_UNREACHABLE) return null;
  switch (data[CODE_OFFSET]) {
    case 0:
      return wsa.WSAENETUNREACH;
    case 3:
      return wsa.WSAEHOSTUNREACH;
    case 4:
      return wsa.WSAECONNRESET;
    default:
      return null;
  }
}
