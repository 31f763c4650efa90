// What the switch asks of a SAN provider, seen from between the two while an application sends little
// and much both ways: the facts of the pages on which every provider relies.

import { describe, expect, it } from 'vitest';
import type { Winsock } from '../../index.js';
import type { ProviderHook } from '../../provider/hooks/index.js';
import { intercepting, wrapProvider } from '../../provider/hooks/index.js';
import * as spi from '../../provider/spi/index.js';
import { closeClean, openPair, watched } from './fixture.js';

interface Call {
  readonly name: string;
  readonly parameters: readonly unknown[];
  readonly result: unknown;
}

interface Recorder {
  readonly hook: ProviderHook;
  readonly calls: Call[];
  named(...names: string[]): Call[];
}

/** Keeps every call and upcall, in order. */
function recorder(
  onCall: (name: string, parameters: readonly unknown[]) => void,
  onReturn: (name: string, parameters: readonly unknown[], result: unknown) => void = () =>
    undefined,
): Recorder {
  const calls: Call[] = [];
  const wrapping = intercepting(({ name }, parameters, proceed) => {
    const kept = [...parameters];
    onCall(name, kept);
    const result = proceed();
    calls.push({ name, parameters: kept, result });
    onReturn(name, kept, result);
    return result;
  });
  return {
    hook: (inner) => wrapProvider(inner, wrapping),
    calls,
    named: (...names) => calls.filter(({ name }) => names.includes(name)),
  };
}

/** Where a call has its WSAOVERLAPPED, its routine and its thread. */
const OVERLAPPED_AT: Readonly<Record<string, number>> = {
  WSPSend: 5,
  WSPRecv: 5,
  WSPRdmaWrite: 8,
  WSPRdmaRead: 8,
};
const TRANSFERS = Object.keys(OVERLAPPED_AT);

function overlappedOf({ name, parameters }: Omit<Call, 'result'>): spi.WSAOVERLAPPED | null {
  return parameters[OVERLAPPED_AT[name] ?? -1] as spi.WSAOVERLAPPED | null;
}

/** `bytes` from each to the other. */
async function exchange(
  a: Winsock,
  atA: number,
  b: Winsock,
  atB: number,
  bytes: number,
): Promise<void> {
  const directions = [
    { from: a, out: atA, to: b, into: atB },
    { from: b, out: atB, to: a, into: atA },
  ];
  for (const { from, out, to, into } of directions) {
    const sent = new Uint8Array(bytes).fill(bytes & 255);
    const received = new Uint8Array(bytes);
    const receiving = to.promises.recv(into, received, bytes, spi.MSG_WAITALL);
    expect(await watched(from.promises.send(out, sent, bytes, 0), 'the send')).toBe(bytes);
    expect(await watched(receiving, 'the receive')).toBe(bytes);
    expect(Buffer.compare(received, sent)).toBe(0);
  }
}

describe.each(['documented', 'real-switch'] as const)(
  'the calls of the switch, profile %s',
  (profile) => {
    it('are those of the pages [SOCKET-01 WSPSEND-01 WSPSEND-08 WSPSEND-09 OVL-01 IOCTL-01 IOC-04 W7.1 W7.2]', async () => {
      const pending = new Set<spi.WSAOVERLAPPED>();
      const reused: string[] = [];
      const record = recorder(
        (name, parameters) => {
          if (name === 'WPUCompleteOverlappedRequest') {
            pending.delete(parameters[1] as spi.WSAOVERLAPPED);
          }
          const overlapped = overlappedOf({ name, parameters });
          if (!overlapped) return;
          expect(pending.has(overlapped), `${name} uses a WSAOVERLAPPED that is in use`).toBe(
            false,
          );
          pending.add(overlapped);
        },
        (name, parameters, result) => {
          const overlapped = overlappedOf({ name, parameters });
          if (overlapped && result === 0) pending.delete(overlapped);
          if (name === 'WSPGetOverlappedResult' && result === true) {
            pending.delete(parameters[1] as spi.WSAOVERLAPPED);
          }
        },
      );
      const { a, b, atA, atB } = await openPair({
        a: { profile, hooks: [record.hook] },
        b: { profile },
      });
      for (const bytes of [6, 300_000]) await exchange(a.winsock, atA, b.winsock, atB, bytes);
      a.winsock.closesocket(atA);
      b.winsock.closesocket(atB);
      await closeClean(a, b);

      expect(reused, 'calls with a WSAOVERLAPPED that was in use').toEqual([]);
      for (const { parameters } of record.named('WSPSocket')) {
        expect(parameters.slice(0, 3)).toEqual([spi.AF_INET, spi.SOCK_STREAM, spi.IPPROTO_TCP]);
        expect(parameters[5]).toBe(spi.WSA_FLAG_OVERLAPPED);
      }
      const transfers = record.named(...TRANSFERS);
      expect(new Set(transfers.map(({ name }) => name))).toEqual(
        new Set(['WSPSend', 'WSPRecv', 'WSPRdmaRead']),
      );
      for (const call of transfers) {
        const at = OVERLAPPED_AT[call.name] ?? -1;
        const overlapped = overlappedOf(call);
        expect(overlapped, call.name).not.toBeNull();
        // Neither a routine nor, without one, a thread to queue it to.
        expect(call.parameters.slice(at + 1, at + 3), call.name).toEqual([null, null]);
        if (profile === 'real-switch') {
          const hEvent = overlapped?.hEvent ?? -1;
          expect(hEvent === 0 || (hEvent & 1) === 1, `${call.name} hEvent ${hEvent}`).toBe(true);
        } else {
          expect(overlapped?.hEvent, call.name).not.toBe(0);
        }
      }
      const connected = record.named('WSPConnect').map(({ parameters }) => parameters[0]);
      const connectedAt = record.calls.findIndex(({ name }) => name === 'WSPConnect');
      expect(connectedAt).toBeGreaterThanOrEqual(0);
      for (const { parameters } of record.named('WSPSend')) {
        expect(connected).toContain(parameters[0]);
        expect(parameters[4], 'dwFlags').toBe(0);
      }
      expect(record.calls.findIndex(({ name }) => name === 'WSPSend')).toBeGreaterThan(connectedAt);
      const codes = new Set(record.named('WSPIoctl').map(({ parameters }) => parameters[1]));
      expect(codes).toContain(spi.SIO_GET_EXTENSION_FUNCTION_POINTER);
      expect(codes).toContain(spi.SIO_ADDRESS_LIST_QUERY);
      expect(codes).not.toContain(spi.SIO_ADDRESS_LIST_CHANGE);
    });

    it('name only memory that is registered for the socket, or lies in such memory [ARCH-18]', async () => {
      const registered: { handle: unknown; memory: Uint8Array }[] = [];
      const strangers: string[] = [];
      const isInside = (inner: Uint8Array): boolean =>
        registered.some(
          ({ memory }) =>
            memory.buffer === inner.buffer &&
            memory.byteOffset <= inner.byteOffset &&
            inner.byteOffset + inner.length <= memory.byteOffset + memory.length,
        );
      const record = recorder(
        (name, parameters) => {
          if (name === 'WSPDeregisterMemory') {
            const at = registered.findIndex(({ handle }) => handle === parameters[1]);
            registered.splice(at, 1);
          }
          if (!TRANSFERS.includes(name)) return;
          for (const { buf, len } of parameters[1] as spi.WSABUF[]) {
            if (!isInside((buf as Uint8Array).subarray(0, len))) strangers.push(name);
          }
        },
        (name, parameters, result) => {
          if (name !== 'WSPRegisterMemory') return;
          const memory = (parameters[1] as Uint8Array).subarray(0, parameters[2] as number);
          registered.push({ handle: result, memory });
        },
      );
      const { a, b, atA, atB } = await openPair({
        a: { profile, hooks: [record.hook] },
        b: { profile },
      });
      await exchange(a.winsock, atA, b.winsock, atB, 300_000);
      expect(record.named(...TRANSFERS).length).toBeGreaterThan(10);
      expect(strangers).toEqual([]);
      a.winsock.closesocket(atA);
      b.winsock.closesocket(atB);
      await closeClean(a, b);
    });

    it("never carry the application's own structures: its requests are completed by the switch [OVL-07]", async () => {
      const given: unknown[] = [];
      const record = recorder((_name, parameters) => {
        given.push(...parameters);
      });
      const { a, b, atA, atB } = await openPair({
        a: { profile, hooks: [record.hook] },
        b: { profile },
      });
      const { winsock } = a;
      const event = winsock.WSACreateEvent();
      const overlapped = { ...spi.createOverlapped(), hEvent: event };
      const buffers = [{ len: 5, buf: new Uint8Array(5) }];
      const flags = spi.ref(0);
      winsock.WSARecv(atA, buffers, 1, null, flags, overlapped, null);
      expect(winsock.WSAGetLastError()).toBe(spi.WSA_IO_PENDING);
      const text = Buffer.from('bytes');
      expect(b.winsock.send(atB, text, text.length, 0)).toBe(5);
      expect(winsock.WSAWaitForMultipleEvents(1, [event], false, 20_000, false)).toBe(
        spi.WSA_WAIT_EVENT_0,
      );
      expect([overlapped.Internal, overlapped.InternalHigh]).toEqual([0, 5]);
      expect(given).not.toContain(overlapped);
      expect(given).not.toContain(buffers);
      for (const call of record.named('WPUCompleteOverlappedRequest')) {
        expect((call.parameters[1] as spi.WSAOVERLAPPED).hEvent).not.toBe(event);
      }
      winsock.WSACloseEvent(event);
      winsock.closesocket(atA);
      b.winsock.closesocket(atB);
      await closeClean(a, b);
    });
  },
);
