// Providers that fail by throwing: what the switch sees of them.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';

const NOTHING = [null, 0, null, 0, null, null, null] as const;

describe('answering', () => {
  type Table = Pick<
    spi.SanProcTable,
    'lpWSPSend' | 'lpWSPAccept' | 'lpWSPGetQOSByName' | 'lpWSPCloseSocket' | 'lpWSPListen'
  >;
  const closed: string[] = [];
  const find = (s: number): string => (s === 1 ? 'one' : spi.raise(spi.WSAENOTSOCK));
  const table = spi.answering<Table, string>(find, {
    lpWSPSend: () => spi.raise(spi.WSA_IO_PENDING),
    lpWSPAccept: () => spi.raise(spi.WSAEWOULDBLOCK),
    lpWSPGetQOSByName: () => spi.raise(spi.WSAEOPNOTSUPP),
    lpWSPCloseSocket: (name) => {
      closed.push(name);
    },
    lpWSPListen: () => {
      throw new TypeError('a defect');
    },
  });

  it('tells what is raised as the header says: the value that means failure, and a code [W1.1]', () => {
    const errno = spi.ref(0);
    expect([table.lpWSPSend(1, ...NOTHING, errno), errno.value]).toEqual([-1, spi.WSA_IO_PENDING]);
    const accepted = table.lpWSPAccept(1, null, null, null, 0, errno);
    expect([accepted, errno.value]).toEqual([spi.INVALID_SOCKET, spi.WSAEWOULDBLOCK]);
    const answer = table.lpWSPGetQOSByName(1, { len: 0, buf: null }, null, errno);
    expect([answer, errno.value]).toEqual([false, spi.WSAEOPNOTSUPP]);
    expect([table.lpWSPCloseSocket(2, errno), errno.value]).toEqual([-1, spi.WSAENOTSOCK]);
  });

  it('gives a function its subject, and 0 for it when it returns nothing', () => {
    expect(table.lpWSPCloseSocket(1, spi.ref(0))).toBe(0);
    expect(closed).toEqual(['one']);
  });

  it('hides no defect', () => {
    expect(() => table.lpWSPListen(1, 1, spi.ref(0))).toThrow('a defect');
  });

  it('fails a registration with the handle 0, and leaves null what is null [REGMEM-01]', () => {
    const refuse = (): never => spi.raise(spi.WSAENOBUFS);
    const extensions = spi.answering<spi.SanExtensions, string>(find, {
      WSPRegisterMemory: refuse,
      WSPDeregisterMemory: refuse,
      WSPRegisterRdmaMemory: refuse,
      WSPDeregisterRdmaMemory: refuse,
      WSPRdmaWrite: refuse,
      WSPRdmaRead: null,
      WSPMemoryRegistrationCacheCallback: null,
    });
    const errno = spi.ref(0);
    expect(extensions.WSPRegisterMemory(1, null, 0, 0, errno)).toBe(0);
    expect(errno.value).toBe(spi.WSAENOBUFS);
    expect(extensions.WSPDeregisterMemory(1, 5, errno)).toBe(spi.SOCKET_ERROR);
    expect(extensions.WSPRdmaRead).toBeNull();
  });
});
