// Socket options: what is kept, what the kernel keeps, and what is refused.

import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { seconds } from '../../../runtime/clock.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';

const A = '127.96.1.1';

it('flags and numbers come back as they were set [GETOPT-02 OPT-08]', () => {
  onMachine((machine) => {
    const host = machine.host(A);
    const s = host.socket();
    const flags = [
      spi.SO_DEBUG,
      spi.SO_KEEPALIVE,
      spi.SO_DONTROUTE,
      spi.SO_OOBINLINE,
      spi.SO_CONDITIONAL_ACCEPT,
      spi.SO_REUSEADDR,
    ];
    for (const flag of flags) {
      expect([flag, host.option(s, flag)]).toEqual([flag, 0]);
      expect(host.setOption(s, flag, 1)).toBe(0);
      expect(host.option(s, flag)).toBe(1);
    }
    const numbers = [
      [spi.SO_SNDTIMEO, 1234],
      [spi.SO_RCVTIMEO, 70_000],
      [spi.SO_SNDBUF, 10_000],
      [spi.SO_RCVBUF, 20_001],
      [spi.SO_GROUP_PRIORITY, 3],
    ] as const;
    for (const [option, value] of numbers) {
      expect(host.setOption(s, option, value)).toBe(0);
      expect([option, host.option(s, option)]).toEqual([option, value]);
    }
    expect(host.option(s, spi.SO_TYPE)).toBe(spi.SOCK_STREAM);
    expect(host.setOption(s, spi.TCP_NODELAY, 1, spi.IPPROTO_TCP)).toBe(0);
    expect(host.option(s, spi.TCP_NODELAY, spi.IPPROTO_TCP)).toBe(1);
    expect(host.setOption(s, spi.IP_TTL, 9, spi.IPPROTO_IP)).toBe(0);
    expect(host.option(s, spi.IP_TTL, spi.IPPROTO_IP)).toBe(9);
  });
});

it('SO_LINGER is two 16-bit numbers, and SO_DONTLINGER its opposite [W2.13]', () => {
  onMachine((machine) => {
    const host = machine.host(A);
    const s = host.socket();
    const { lpWSPSetSockOpt, lpWSPGetSockOpt } = host.wsp;
    const set = (bytes: Uint8Array, length: number): number =>
      lpWSPSetSockOpt(s, spi.SOL_SOCKET, spi.SO_LINGER, bytes, length, lpErrno);
    expect(host.option(s, spi.SO_DONTLINGER)).toBe(1);
    expect(set(Uint8Array.of(1, 0, 0x2c, 0x01), 4)).toBe(0);
    failsWith(spi.WSAEFAULT, set(Uint8Array.of(1, 0, 1, 0), 3));
    expect(host.option(s, spi.SO_DONTLINGER)).toBe(0);
    const linger = new Uint8Array(8);
    const length = spi.ref(8);
    expect(lpWSPGetSockOpt(s, spi.SOL_SOCKET, spi.SO_LINGER, linger, length, lpErrno)).toBe(0);
    expect([length.value, [...linger.subarray(0, 4)]]).toEqual([4, [1, 0, 0x2c, 0x01]]);
    expect(host.setOption(s, spi.SO_DONTLINGER, 1)).toBe(0);
    expect(host.option(s, spi.SO_LINGER)).toBe(0x012c_0000);
  });
});

it('a port is shared or exclusive, and that is said before binding', () => {
  onMachine((machine) => {
    const host = machine.host(A);
    const s = host.socket();
    expect(host.setOption(s, spi.SO_EXCLUSIVEADDRUSE, 1)).toBe(0);
    failsWith(spi.WSAEINVAL, host.setOption(s, spi.SO_REUSEADDR, 1));
    const bound = host.socket();
    expect(host.bind(bound, A)).toBe(0);
    failsWith(spi.WSAEINVAL, host.setOption(bound, spi.SO_EXCLUSIVEADDRUSE, 1));
  });
});

it('unknown levels and options, short values and missing ones are refused [GETOPT-01 SETOPT-01]', () => {
  onMachine((machine) => {
    const host = machine.host(A);
    const s = host.socket();
    failsWith(spi.WSAEINVAL, host.option(s, spi.SO_TYPE, 0x1234));
    failsWith(spi.WSAENOPROTOOPT, host.option(s, 0x7777));
    failsWith(spi.WSAENOPROTOOPT, host.option(s, spi.SO_MAX_MSG_SIZE));
    failsWith(spi.WSAENOPROTOOPT, host.setOption(s, spi.SO_TYPE, 1));
    failsWith(spi.WSAENOPROTOOPT, host.option(s, spi.SO_UPDATE_ACCEPT_CONTEXT));
    const { lpWSPGetSockOpt, lpWSPSetSockOpt } = host.wsp;
    const bytes = new Uint8Array(4);
    const read = (option: number, optval: Uint8Array | null, room: number): number =>
      lpWSPGetSockOpt(s, spi.SOL_SOCKET, option, optval, spi.ref(room), lpErrno);
    failsWith(spi.WSAEFAULT, read(spi.SO_TYPE, bytes, 3));
    failsWith(spi.WSAEFAULT, read(spi.SO_TYPE, bytes.subarray(1), 4));
    failsWith(spi.WSAEFAULT, read(spi.SO_TYPE, null, 4));
    expect(read(spi.SO_KEEPALIVE, bytes, 1)).toBe(0);
    failsWith(
      spi.WSAEFAULT,
      lpWSPSetSockOpt(s, spi.SOL_SOCKET, spi.SO_SNDTIMEO, bytes, 2, lpErrno),
    );
    failsWith(
      spi.WSAENOTSOCK,
      lpWSPSetSockOpt(3, spi.SOL_SOCKET, spi.SO_SNDTIMEO, bytes, 4, lpErrno),
    );
  });
});

it('SO_CONNECT_TIME counts seconds from the connection, SO_ACCEPTCONN tells a listener', () => {
  onMachine((machine) => {
    const host = machine.host(A);
    const { s } = host.listener();
    const { client } = machine.pair(host, host);
    expect(host.option(s, spi.SO_ACCEPTCONN)).toBe(1);
    expect(host.option(client, spi.SO_ACCEPTCONN)).toBe(0);
    expect(host.option(s, spi.SO_CONNECT_TIME)).toBe(0xffffffff);
    const elapsed = host.option(client, spi.SO_CONNECT_TIME);
    expect(elapsed).toBeLessThanOrEqual(Math.ceil(machine.clock.now() / seconds(1)));
  });
});
