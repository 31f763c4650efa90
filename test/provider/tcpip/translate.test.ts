// Between Windows and Linux: errors, flags, socket addresses.

import { expect, it } from 'vitest';
import { errno } from '../../../native/errors.js';
import * as spi from '../../../provider/spi/index.js';
import {
  connectError,
  linuxTransferFlags,
  toLinuxSockaddr,
  toWindowsSockaddr,
  transferError,
  wsaErrorOfErrno,
} from '../../../provider/tcpip/translate.js';

it('errno becomes the Winsock error of the same meaning, whatever its sign [W1.2]', () => {
  expect(wsaErrorOfErrno(-errno.ECONNREFUSED)).toBe(spi.WSAECONNREFUSED);
  expect(wsaErrorOfErrno(errno.EADDRINUSE)).toBe(spi.WSAEADDRINUSE);
  expect(wsaErrorOfErrno(-errno.ENOMEM)).toBe(spi.WSAENOBUFS);
  expect(wsaErrorOfErrno(-errno.EACCES)).toBe(spi.WSAEACCES);
  expect(wsaErrorOfErrno(-errno.ENETDOWN)).toBe(spi.WSAENETDOWN);
  expect(wsaErrorOfErrno(-errno.EXDEV)).toBe(spi.WSAEINVAL);
});

it('a timeout breaks a connection and fails a connect [W4.20]', () => {
  expect(transferError(-errno.ETIMEDOUT)).toBe(spi.WSAECONNABORTED);
  expect(connectError(-errno.ETIMEDOUT)).toBe(spi.WSAETIMEDOUT);
  expect(connectError(-errno.EINVAL)).toBe(spi.WSAENETUNREACH);
});

it('socket addresses differ in the family of IPv6 alone', () => {
  const v4 = spi.sockaddrIn('127.0.0.9', 80);
  expect(toLinuxSockaddr(v4)).toEqual(v4);
  const v6 = spi.sockaddrIn6('::1', 80);
  const linux = toLinuxSockaddr(v6);
  expect([linux[0], linux.length]).toEqual([10, 28]);
  expect(linux.subarray(2)).toEqual(v6.subarray(2));
  expect(toWindowsSockaddr(linux, 28)).toEqual(v6);
});

it("only urgent data and peeking are the kernel's business [W2.2 W8.1.9]", () => {
  expect(linuxTransferFlags(spi.MSG_OOB | spi.MSG_PEEK)).toBe(3);
  const ours = spi.MSG_WAITALL | spi.MSG_PUSH_IMMEDIATE | spi.MSG_DONTROUTE;
  expect(linuxTransferFlags(ours)).toBe(0);
});
