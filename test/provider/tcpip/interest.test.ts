// What a socket's transfers cost beside the transfer itself: how often the kernel is asked for readiness,
// and that it stops reporting what nobody waits for.

import { describe, expect, it, vi } from 'vitest';
import { native } from '../../../native/load.js';
import * as spi from '../../../provider/spi/index.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import type { Host, Machine } from './fixture.js';

interface Both {
  readonly machine: Machine;
  readonly a: Host;
  readonly b: Host;
  readonly client: number;
  readonly server: number;
}

function connected(body: (both: Both) => void): void {
  onMachine((machine) => {
    const a = machine.host('127.83.1.1');
    const b = machine.host('127.83.1.2');
    body({ machine, a, b, ...machine.pair(a, b) });
  });
}

/** How often each of the calls of the addon is made by a body. */
function countCalls(
  names: readonly ('epollControl' | 'socketReadable' | 'socketReceive')[],
  body: () => void,
): number[] {
  const spies = names.map((name) => vi.spyOn(native, name));
  body();
  const counts = spies.map(({ mock }) => mock.calls.length);
  for (const spy of spies) spy.mockRestore();
  return counts;
}

/** A message arrives and is received by somebody who was told of it by FD_READ. */
function exchange({ machine, a, b, client, server }: Both, event: number): void {
  expect(a.send(client, Buffer.from('ping'))).toBe(4);
  machine.until(() => machine.isSignalled(event));
  const seen = spi.createNetworkEvents();
  expect(b.wsp.lpWSPEnumNetworkEvents(server, event, seen, lpErrno)).toBe(0);
  expect(seen.lNetworkEvents & spi.FD_READ).toBe(spi.FD_READ);
  expect(b.recv(server, new Uint8Array(64))).toBe(4);
}

describe('what a receive asks the kernel for', () => {
  it('FD_READ and the receive it calls for make one system call, the receive [W10.3 W10.4]', () => {
    connected((both) => {
      const { machine, b, server } = both;
      const event = machine.upcalls.event();
      const mask = spi.FD_READ | spi.FD_CLOSE;
      expect(b.wsp.lpWSPEventSelect(server, event, mask, lpErrno)).toBe(0);
      exchange(both, event);
      const counts = countCalls(['epollControl', 'socketReadable', 'socketReceive'], () => {
        for (let round = 0; round < 5; round++) exchange(both, event);
      });
      expect(counts).toEqual([0, 0, 5]);
    });
  });

  it('a receive that leaves data is followed by FD_READ at once [W10.3 W10.4]', () => {
    connected((both) => {
      const { machine, a, b, client, server } = both;
      const event = machine.upcalls.event();
      expect(b.wsp.lpWSPEventSelect(server, event, spi.FD_READ, lpErrno)).toBe(0);
      expect(a.send(client, Buffer.from('abcdef'))).toBe(6);
      machine.until(() => machine.isSignalled(event));
      const seen = spi.createNetworkEvents();
      for (const left of [true, true, false]) {
        expect(b.wsp.lpWSPEnumNetworkEvents(server, event, seen, lpErrno)).toBe(0);
        expect(b.recv(server, new Uint8Array(2))).toBe(2);
        expect(machine.isSignalled(event)).toBe(left);
      }
    });
  });

  it('data that nobody reads is reported once, and again when it is waited for', () => {
    connected((both) => {
      const { machine, a, b, client, server } = both;
      const event = machine.upcalls.event();
      const mask = spi.FD_READ | spi.FD_CLOSE;
      expect(b.wsp.lpWSPEventSelect(server, event, mask, lpErrno)).toBe(0);
      expect(a.send(client, Buffer.from('ab'))).toBe(2);
      machine.until(() => machine.isSignalled(event));
      expect(machine.isQuiet()).toBe(true);
      const seen = spi.createNetworkEvents();
      expect(b.wsp.lpWSPEnumNetworkEvents(server, event, seen, lpErrno)).toBe(0);
      expect(b.recv(server, new Uint8Array(8))).toBe(2);
      failsWith(spi.WSAEWOULDBLOCK, b.recv(server, new Uint8Array(8)));
      exchange(both, event);
    });
  });
});
