// The peer of a connection that moves, over the NIC in memory and in virtual time: how long it waits,
// for whom, and what it says to everybody else.

import { beforeEach, describe, expect, it } from 'vitest';
import { introduction, newIdentity, Purpose } from '../../../provider/san/duplicate-identity.js';
import { decodeRecord } from '../../../provider/san/duplicate-record.js';
import { PARKED_NANOS_MAX, RESUME_PORT } from '../../../provider/san/duplicate-peer.js';
import * as spi from '../../../provider/spi/index.js';
import type { FakeFabric, FakeNic } from './fake-nic.js';
import { HandoverShelf, linkedTrio } from './duplicate-fakes.js';
import type { TestHost } from './harness.js';
import { LISTEN_PORT, settle } from './harness.js';

describe('the peer of a connection that moves', () => {
  let shelf: HandoverShelf;
  let fabric: FakeFabric;
  let old: TestHost;
  let next: TestHost;
  let peer: TestHost;
  let a: number;
  let b: number;
  let end: () => void;

  beforeEach(() => {
    shelf = new HandoverShelf();
    ({ fabric, old, next, peer, a, b, end } = linkedTrio(shelf));
  });

  /** Posts a receive at the peer; its WSAOVERLAPPED. */
  function receive(s = b, host = peer): spi.WSAOVERLAPPED {
    const buffer = new Uint8Array(32);
    host.register(s, buffer);
    const overlapped = spi.createOverlapped();
    expect(host.receive(s, overlapped, buffer)).toBe(spi.SOCKET_ERROR);
    expect(host.errno.value).toBe(spi.WSA_IO_PENDING);
    return overlapped;
  }

  function duplicate(): number {
    const info = spi.tcpProtocolInfo();
    expect(old.procs.lpWSPDuplicateSocket(a, 1, info, old.errno)).toBe(0);
    settle(old, peer);
    return info.dwProviderReserved;
  }

  function takeOver(name: number): number {
    const { AF_INET, IPPROTO_TCP, SOCK_STREAM, WSA_FLAG_OVERLAPPED } = spi;
    const info = { ...spi.tcpProtocolInfo(), dwProviderReserved: name };
    const { procs, errno } = next;
    const flags = WSA_FLAG_OVERLAPPED;
    return procs.lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, info, 0, flags, errno);
  }

  /** Asks the peer's provider to go on with a connection, from a NIC without a provider. */
  function ask(stranger: FakeNic, identity: string): () => string {
    const completionQueue = stranger.createCompletionQueue();
    const queuePair = stranger.createQueuePair({ completionQueue });
    const data = introduction(Purpose.RESUME, identity);
    queuePair?.connect(peer.nic.attributes.address, RESUME_PORT, 9, data);
    return () => {
      settle(peer);
      return stranger.pollEvent()?.type ?? 'nothing';
    };
  }

  it('waits for it half a minute, and is then reset: receives and calls say so [DUP-15 DUP-18]', () => {
    const waiting = receive();
    const name = duplicate();
    peer.clock.advance(PARKED_NANOS_MAX - 1);
    settle(peer);
    expect(waiting.Internal).toBe(spi.WSS_OPERATION_IN_PROGRESS);
    expect(peer.upcalls.completions()).toEqual([]);
    peer.clock.advance(1);
    settle(peer);
    expect(peer.upcalls.completions().map(({ error }) => error)).toEqual([spi.WSAECONNRESET]);
    expect(peer.send(b, spi.createOverlapped())).toBe(spi.SOCKET_ERROR);
    expect(peer.errno.value).toBe(spi.WSAECONNRESET);
    expect(takeOver(name)).toBe(spi.INVALID_SOCKET);
    expect(next.errno.value).toBe(spi.WSAECONNRESET);
    end();
  });

  it('lets the loop sleep no longer than that [DUP-15]', () => {
    const waiting = receive();
    duplicate();
    const before = peer.clock.now();
    expect(peer.loop.waitUntil(() => waiting.Internal !== spi.WSS_OPERATION_IN_PROGRESS)).toBe(
      true,
    );
    expect(peer.clock.now() - before).toBeGreaterThanOrEqual(PARKED_NANOS_MAX);
    end();
  });

  it('takes receives while it waits, and fills all of them in their order afterwards [DUP-18]', () => {
    const receives = [receive(), receive()];
    const name = duplicate();
    receives.push(receive());
    settle(peer);
    const s = takeOver(name);
    expect(s).not.toBe(spi.INVALID_SOCKET);
    receives.push(receive());
    const buffer = new Uint8Array(32);
    next.register(s, buffer);
    for (let length = 1; length <= 4; length++) {
      expect(next.send(s, spi.createOverlapped(), buffer.subarray(0, length))).toBe(-1);
      expect(next.errno.value).toBe(spi.WSA_IO_PENDING);
    }
    settle(next, peer);
    expect(receives.map(({ InternalHigh }) => InternalHigh)).toEqual([1, 2, 3, 4]);
    expect(peer.upcalls.completions()).toHaveLength(4);
    expect(peer.upcalls.names()).not.toContain('create');
    next.close(s);
    old.close(a);
    settle(old, next, peer);
    end();
  });

  it('refuses who does not know what the connection is called, and goes on waiting [DUP-15]', () => {
    receive();
    const name = duplicate();
    const stranger = fabric.attach(spi.ipv4Number('127.77.0.66') ?? 0);
    expect(ask(stranger, newIdentity())()).toBe('connect-failed');
    expect(takeOver(name)).not.toBe(spi.INVALID_SOCKET);
    end();
  });

  it('lets a newcomer wait that is quicker than the good-bye of the old one, and no second one [DUP-15]', () => {
    peer.nic.reportsReasonLate = true;
    const info = spi.tcpProtocolInfo();
    expect(old.procs.lpWSPDuplicateSocket(a, 1, info, old.errno)).toBe(0);
    const record = decodeRecord(shelf.take(info.dwProviderReserved) ?? new Uint8Array());
    const early = fabric.attach(spi.ipv4Number('127.77.0.66') ?? 0);
    const late = fabric.attach(spi.ipv4Number('127.77.0.67') ?? 0);
    const first = ask(early, record?.identity ?? '');
    const second = ask(late, record?.identity ?? '');
    expect(first()).toBe('established');
    expect(second()).toBe('connect-failed');
    end();
  });

  it('is not asked to wait while a send is on its way, nor for no process [DUPSOCK-01]', () => {
    const buffer = new Uint8Array(8);
    old.register(a, buffer);
    const sent = spi.createOverlapped();
    old.send(a, sent, buffer);
    const info = spi.tcpProtocolInfo();
    expect(old.procs.lpWSPDuplicateSocket(a, 1, info, old.errno)).toBe(spi.SOCKET_ERROR);
    expect(old.errno.value).toBe(spi.WSAEINVAL);
    receive();
    settle(old, peer);
    expect(old.result(a, sent)).toEqual([8, 0]);
    expect(old.procs.lpWSPDuplicateSocket(a, 1, null, old.errno)).toBe(spi.SOCKET_ERROR);
    expect(old.errno.value).toBe(spi.WSAEFAULT);
    expect(old.procs.lpWSPDuplicateSocket(a, 0, info, old.errno)).toBe(spi.SOCKET_ERROR);
    expect(old.errno.value).toBe(spi.WSAEINVAL);
    expect(shelf.count).toBe(0);
    duplicate();
    expect(shelf.count).toBe(1);
    end();
  });

  it('resets a connection whose own sends were overtaken: it cannot know what arrived [DUP-15]', () => {
    const buffer = new Uint8Array(8);
    peer.register(b, buffer);
    const sent = spi.createOverlapped();
    // Nobody receives it at the old end.
    peer.send(b, sent, buffer);
    const name = duplicate();
    expect(takeOver(name)).toBe(spi.INVALID_SOCKET);
    expect(next.errno.value).toBe(spi.WSAECONNRESET);
    settle(peer);
    expect(peer.result(b, sent)).toEqual([-1, spi.WSAECONNRESET]);
    end();
  });

  it('tells a new connection on its port from one that goes on [DUP-15]', () => {
    const name = duplicate();
    const another = old.bound(40002);
    old.connect(another, peer.ip, LISTEN_PORT);
    settle(old, peer);
    expect(takeOver(name)).not.toBe(spi.INVALID_SOCKET);
    end();
  });
});
