// Control codes, synchronous and overlapped.

import { describe, expect, it } from 'vitest';
import { CANCELIO_GUID } from '../../../provider/spi/base-extensions.js';
import * as spi from '../../../provider/spi/index.js';
import {
  WSAID_ACCEPTEX,
  WSAID_WSARECVMSG,
  WSAID_WSASENDMSG,
} from '../../../provider/spi/ws2san.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import type { Host } from './fixture.js';

const A = '127.97.1.1';
const B = '127.97.1.2';

interface Parameters {
  code: number;
  input?: Uint8Array;
  output?: Uint8Array;
  overlapped?: spi.WSAOVERLAPPED;
  lpcb?: spi.Ref<number> | null;
}

function ioctl(host: Host, s: number, parameters: Parameters): number {
  const { code, input = null, output = null, overlapped = null, lpcb = spi.ref(-1) } = parameters;
  const { lpWSPIoctl } = host.wsp;
  const [cbIn, cbOut] = [input?.length ?? 0, output?.length ?? 0];
  return lpWSPIoctl(s, code, input, cbIn, output, cbOut, lpcb, overlapped, null, null, lpErrno);
}

const dword = (bytes: Uint8Array): number => new DataView(bytes.buffer).getUint32(0, true);

describe('WSPIoctl', () => {
  it('FIONBIO and FIONREAD work unconnected and check their buffers [W11.1 W11.2 W11.5]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const s = a.socket();
      const output = new Uint8Array(4);
      expect(ioctl(a, s, { code: spi.FIONREAD, output })).toBe(0);
      failsWith(spi.WSAEFAULT, ioctl(a, s, { code: spi.FIONREAD, output: new Uint8Array(3) }));
      failsWith(spi.WSAEFAULT, ioctl(a, s, { code: spi.FIONBIO, input: new Uint8Array(3) }));
      failsWith(spi.WSAEFAULT, ioctl(a, s, { code: spi.FIONREAD, output, lpcb: null }));
      expect(ioctl(a, s, { code: spi.FIONBIO, input: new Uint8Array(8) })).toBe(0);
      failsWith(spi.WSAENOTSOCK, ioctl(a, 3, { code: spi.FIONREAD, output }));
    });
  });

  it('FIONREAD counts what waits; an overlapped call completes with 0 bytes of its own [W9.13.5]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const { client, server } = machine.pair(a, b);
      expect(a.send(client, new Uint8Array(5))).toBe(5);
      const output = new Uint8Array(4);
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      overlapped.InternalHigh = 99;
      const lpcb = spi.ref(-1);
      expect(ioctl(b, server, { code: spi.FIONREAD, output, overlapped, lpcb })).toBe(0);
      expect([dword(output), lpcb.value, overlapped.InternalHigh]).toEqual([5, 4, 0]);
      expect(machine.isSignalled(overlapped.hEvent)).toBe(true);
    });
  });

  it('SIOCATMARK is TRUE when no urgent data waits [W11.5]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const { client, server } = machine.pair(a, b);
      const output = new Uint8Array(4);
      expect(ioctl(b, server, { code: spi.SIOCATMARK, output })).toBe(0);
      expect(dword(output)).toBe(1);
      expect(a.send(client, Buffer.from('U'), spi.MSG_OOB)).toBe(1);
      expect(ioctl(b, server, { code: spi.SIOCATMARK, output })).toBe(0);
      expect(dword(output)).toBe(0);
    });
  });

  it("SIO_ADDRESS_LIST_QUERY lists the host's address, or says how much room it needs [W11.7 IOC-02]", () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const s = a.socket();
      const lpcb = spi.ref(0);
      const code = spi.SIO_ADDRESS_LIST_QUERY;
      failsWith(spi.WSAEFAULT, ioctl(a, s, { code, output: new Uint8Array(8), lpcb }));
      const output = new Uint8Array(lpcb.value);
      expect(ioctl(a, s, { code, output, lpcb })).toBe(0);
      expect(spi.parseAddressList(output)?.map(({ ip }) => ip)).toEqual([A]);
    });
  });

  it("a route's local address, and the base handle", () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const s = a.socket();
      const output = new Uint8Array(16);
      const input = spi.sockaddrIn(B, 80);
      expect(ioctl(a, s, { code: spi.SIO_ROUTING_INTERFACE_QUERY, input, output })).toBe(0);
      expect(spi.parseSockaddr(output)?.ip).toBe(A);
      expect(ioctl(a, s, { code: spi.SIO_BASE_HANDLE, output })).toBe(0);
      expect(dword(output)).toBe(s);
    });
  });

  it('unknown codes: 10045 with a count of 0, or a pending operation that failed [W11.3]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const s = a.socket();
      const lpcb = spi.ref(-1);
      failsWith(spi.WSAEOPNOTSUPP, ioctl(a, s, { code: 0xdeadbeef, lpcb }));
      expect(lpcb.value).toBe(0);
      lpcb.value = 7;
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      failsWith(spi.WSA_IO_PENDING, ioctl(a, s, { code: 0xdeadbeef, lpcb, overlapped }));
      expect(lpcb.value).toBe(7);
      expect(machine.isSignalled(overlapped.hEvent)).toBe(true);
      expect(overlapped.Internal).toBe(spi.NTSTATUS.STATUS_NOT_SUPPORTED);
      const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;
      failsWith(spi.WSAEINVAL, ioctl(a, s, { code, input: new Uint8Array(16) }));
    });
  });

  it('SIO_FLUSH ends pending sends with 995; profile windows refuses it [W9.10.3]', () => {
    for (const [profile, refused] of [
      ['documented', false],
      ['windows', true],
    ] as const) {
      onMachine((machine) => {
        const a = machine.host(A, profile);
        const { client } = machine.pair(a, machine.host(B));
        const overlapped = spi.createOverlapped(machine.upcalls.event());
        const buffers = [{ len: 24 << 20, buf: new Uint8Array(24 << 20) }];
        const { lpWSPSend } = a.wsp;
        failsWith(
          spi.WSA_IO_PENDING,
          lpWSPSend(client, buffers, 1, null, 0, overlapped, null, null, lpErrno),
        );
        const flushed = ioctl(a, client, { code: spi.SIO_FLUSH });
        if (refused) failsWith(spi.WSAEOPNOTSUPP, flushed);
        else {
          expect(flushed).toBe(0);
          const error = spi.wsaErrorOfStatus(overlapped.Internal);
          expect(error).toBe(spi.WSA_OPERATION_ABORTED);
        }
      });
    }
  });

  it('waiting for a change of addresses pends, or is WSAEWOULDBLOCK', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const s = a.socket();
      a.nonblocking(s);
      const code = spi.SIO_ADDRESS_LIST_CHANGE;
      failsWith(spi.WSAEWOULDBLOCK, ioctl(a, s, { code }));
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      failsWith(spi.WSA_IO_PENDING, ioctl(a, s, { code, overlapped }));
      expect(a.wsp.lpWSPCloseSocket(s, lpErrno)).toBe(0);
      expect(machine.isSignalled(overlapped.hEvent)).toBe(true);
    });
  });
});

describe('SIO_GET_EXTENSION_FUNCTION_POINTER', () => {
  const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;

  function fetch(
    host: Host,
    s: number,
    guid: Uint8Array,
    overlapped: spi.WSAOVERLAPPED | null = null,
    room = 8,
  ): { result: number; lpcb: number; value: unknown } {
    const box: { value: ((...args: never[]) => unknown) | null } = { value: null };
    const lpcb = spi.ref(-1);
    const { lpWSPIoctl } = host.wsp;
    const { length } = guid;
    const result = lpWSPIoctl(
      s,
      code,
      guid,
      length,
      box,
      room,
      lpcb,
      overlapped,
      null,
      null,
      lpErrno,
    );
    return { result, lpcb: lpcb.value, value: box.value };
  }

  it('fetches three functions, before any socket exists; 8 bytes are returned [W11.4 W2.16 W6.14]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      for (const guid of [WSAID_WSASENDMSG, WSAID_WSARECVMSG, CANCELIO_GUID]) {
        const fetched = fetch(a, spi.INVALID_SOCKET, spi.guidBytes(guid));
        expect([fetched.result, fetched.lpcb, typeof fetched.value]).toEqual([0, 8, 'function']);
      }
    });
  });

  it('an unknown GUID is WSAEINVAL, with the structure untouched; short buffers are WSAEFAULT [W11.4]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const s = a.socket();
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      overlapped.InternalHigh = 99;
      const unknown = spi.guidBytes(WSAID_ACCEPTEX);
      failsWith(spi.WSAEINVAL, fetch(a, s, unknown, overlapped).result);
      expect([overlapped.Internal, overlapped.InternalHigh]).toEqual([0, 99]);
      expect(machine.isSignalled(overlapped.hEvent)).toBe(false);
      const known = spi.guidBytes(WSAID_WSASENDMSG);
      failsWith(spi.WSAEFAULT, fetch(a, s, known.subarray(0, 15)).result);
      failsWith(spi.WSAEFAULT, fetch(a, s, known, null, 7).result);
      failsWith(spi.WSAEFAULT, ioctl(a, s, { code, input: known, output: new Uint8Array(8) }));
      failsWith(spi.WSAEFAULT, ioctl(a, s, { code, input: known, lpcb: null }));
    });
  });

  it('an overlapped call answers inside, and its own byte count is 0 [W11.4 W9.13.5]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const overlapped = spi.createOverlapped(machine.upcalls.event());
      overlapped.InternalHigh = 99;
      const fetched = fetch(a, a.socket(), spi.guidBytes(WSAID_WSARECVMSG), overlapped);
      expect([fetched.result, fetched.lpcb]).toEqual([0, 8]);
      expect([overlapped.Internal, overlapped.InternalHigh]).toEqual([0, 0]);
      expect(machine.isSignalled(overlapped.hEvent)).toBe(true);
    });
  });
});
