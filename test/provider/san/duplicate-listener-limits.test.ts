// A listener on its way from process to process, over the NIC in memory and in virtual time: what waits
// for it and how long, who may have it, and what ends it.

import { beforeEach, describe, expect, it } from 'vitest';
import { newIdentity, introduction, Purpose } from '../../../provider/san/duplicate-identity.js';
import { LISTENER_WAIT_NANOS_MAX } from '../../../provider/san/duplicate-listener.js';
import { RESUME_PORT } from '../../../provider/san/duplicate-peer.js';
import type { ListenerRecord } from '../../../provider/san/duplicate-record.js';
import { decodeRecord, encodeRecord } from '../../../provider/san/duplicate-record.js';
import * as spi from '../../../provider/spi/index.js';
import { HandoverShelf } from './duplicate-fakes.js';
import { FakeFabric } from './fake-nic.js';
import { LEFT_IP, LISTEN_PORT, RIGHT_IP, settle, shutDown, TestHost } from './harness.js';

const EVENT = 8;

describe('a listener on its way', () => {
  let shelf: HandoverShelf;
  let fabric: FakeFabric;
  let old: TestHost;
  let next: TestHost;
  let third: TestHost;
  let client: TestHost;
  let listener: number;
  let localPort: number;
  const removals: (() => void)[] = [];
  const hosts = (): TestHost[] => [old, next, third, client];

  beforeEach(() => {
    shelf = new HandoverShelf();
    fabric = new FakeFabric();
    const host = (ip: string): TestHost => new TestHost(fabric, ip, { handover: shelf });
    old = host(LEFT_IP);
    next = host('127.77.0.3');
    third = host('127.77.0.4');
    client = host(RIGHT_IP);
    // Whoever waits in a call lets the others work as well.
    for (const one of hosts()) {
      const others = hosts().filter((other) => other !== one);
      const doWork = (): number => (waits ? 0 : turn(others));
      const agent = { role: 'the others', doWork };
      one.loop.add(agent);
      removals.push(() => {
        one.loop.remove(agent);
      });
    }
    listener = old.listening(LISTEN_PORT, 2);
    localPort = 30_000;
  });

  let waits = false;
  function turn(others: readonly TestHost[]): number {
    waits = true;
    const work = others.reduce((sum, other) => sum + other.loop.poll(), 0);
    waits = false;
    return work;
  }

  function duplicate(from: TestHost, s: number): number {
    const info = spi.tcpProtocolInfo();
    expect(from.procs.lpWSPDuplicateSocket(s, 1, info, from.errno)).toBe(0);
    return info.dwProviderReserved;
  }

  function take(to: TestHost, name: number): number {
    const { AF_INET, IPPROTO_TCP, SOCK_STREAM, WSA_FLAG_OVERLAPPED: flags } = spi;
    const info = { ...spi.tcpProtocolInfo(), dwProviderReserved: name };
    return to.procs.lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, info, 0, flags, to.errno);
  }

  function ask(): number {
    const s = client.bound(localPort++);
    client.procs.lpWSPEventSelect(s, 4, spi.FD_CONNECT, client.errno);
    client.connect(s, LEFT_IP, LISTEN_PORT);
    settle(...hosts());
    return s;
  }

  const outcome = (s: number): number | null => client.connectOutcome(s);

  /** Nothing is left of anything. */
  function end(): void {
    for (const remove of removals.splice(0)) remove();
    shutDown(...hosts());
  }

  it('keeps its address, its backlog and its selection-to-be: what waits signals whoever selects [DUP-14 DUP-15 LISTEN-04]', () => {
    const first = ask();
    const s = take(next, duplicate(old, listener));
    settle(...hosts());
    next.upcalls.calls.length = 0;
    next.procs.lpWSPEventSelect(s, EVENT, spi.FD_ACCEPT, next.errno);
    expect(next.upcalls.names()).toEqual(['set']);
    const second = ask();
    // Two is what the backlog holds, here as there.
    expect(outcome(ask())).toBe(spi.WSAECONNREFUSED);
    const name = new Uint8Array(16);
    const callees: unknown[] = [];
    for (const asked of [first, second]) {
      const accepted = next.procs.lpWSPAccept(
        s,
        name,
        spi.ref(16),
        (_caller, _data, _sqos, _gqos, callee) => {
          callees.push(spi.parseSockaddr(callee?.buf ?? new Uint8Array(16)));
          return spi.CF_ACCEPT;
        },
        0,
        next.errno,
      );
      expect(accepted).not.toBe(spi.INVALID_SOCKET);
      settle(...hosts());
      expect(outcome(asked)).toBe(0);
    }
    for (const callee of callees) expect(callee).toMatchObject({ ip: LEFT_IP, port: LISTEN_PORT });
    end();
  });

  it('lets requests wait within the backlog, and half a minute; then they are left to TCP/IP [DUP-14 CONNECT-05]', () => {
    const name = duplicate(old, listener);
    const asked = [ask(), ask()];
    expect(asked.map(outcome)).toEqual([null, null]);
    expect(outcome(ask())).toBe(spi.WSAECONNREFUSED);
    old.clock.advance(LISTENER_WAIT_NANOS_MAX);
    expect(outcome(ask())).toBe(spi.WSAETIMEDOUT);
    expect(asked.map(outcome)).toEqual([spi.WSAETIMEDOUT, spi.WSAETIMEDOUT]);
    expect(outcome(ask())).toBe(spi.WSAETIMEDOUT);
    // Whoever comes after all has it from then on.
    const s = take(next, name);
    const late = ask();
    expect(next.accept(s)).not.toBe(spi.INVALID_SOCKET);
    settle(...hosts());
    expect(outcome(late)).toBe(0);
    end();
  });

  it('loses a request that is withdrawn meanwhile [DUP-14]', () => {
    ask();
    const name = duplicate(old, listener);
    const [requestId] = old.nic.requestIds;
    old.nic.withdraw(requestId ?? 0);
    settle(...hosts());
    const s = take(next, name);
    settle(...hosts());
    expect(next.accept(s)).toBe(spi.INVALID_SOCKET);
    expect(next.errno.value).toBe(spi.WSAEWOULDBLOCK);
    end();
  });

  it('comes back to a process that nobody took it from, with what waits [DUP-12 DUP-14]', () => {
    const asked = ask();
    const s = take(old, duplicate(old, listener));
    expect(s).not.toBe(spi.INVALID_SOCKET);
    expect(s).not.toBe(listener);
    expect(old.accept(s)).not.toBe(spi.INVALID_SOCKET);
    settle(...hosts());
    expect(outcome(asked)).toBe(0);
    old.close(listener);
    end();
  });

  it('goes from the second process to a third, although the second is gone by then [DUP-14]', () => {
    const s = take(next, duplicate(old, listener));
    const name = duplicate(next, s);
    // Its provider answers nobody any more.
    next.nic.unlisten(RESUME_PORT);
    const taken = take(third, name);
    expect(taken).not.toBe(spi.INVALID_SOCKET);
    const asked = ask();
    expect(third.accept(taken)).not.toBe(spi.INVALID_SOCKET);
    settle(...hosts());
    expect(outcome(asked)).toBe(0);
    next.nic.listen(RESUME_PORT);
    end();
  });

  it('is not handed over by its own condition function, nor by a NIC that cannot redirect [DUP-14]', () => {
    ask();
    const info = spi.tcpProtocolInfo();
    const errno = spi.ref(0);
    const { procs } = old;
    procs.lpWSPAccept(
      listener,
      null,
      null,
      () => {
        expect(procs.lpWSPDuplicateSocket(listener, 1, info, errno)).toBe(spi.SOCKET_ERROR);
        return spi.CF_DEFER;
      },
      0,
      old.errno,
    );
    expect(errno.value).toBe(spi.WSAEINVAL);
    Object.defineProperty(old.nic, 'redirect', { value: undefined });
    expect(procs.lpWSPDuplicateSocket(listener, 1, info, errno)).toBe(spi.SOCKET_ERROR);
    expect(errno.value).toBe(spi.WSAEOPNOTSUPP);
    expect(shelf.count).toBe(0);
    expect(old.accept(listener)).not.toBe(spi.INVALID_SOCKET);
    end();
  });

  it('is not given to who does not know what it is called [DUP-11 DUP-14]', () => {
    const name = duplicate(old, listener);
    const stranger = fabric.attach(spi.ipv4Number('127.77.0.66') ?? 0);
    const completionQueue = stranger.createCompletionQueue();
    const queuePair = stranger.createQueuePair({ completionQueue });
    const data = introduction(Purpose.LISTEN, newIdentity());
    queuePair?.connect(old.nic.attributes.address, RESUME_PORT, 9, data);
    settle(...hosts());
    expect(stranger.pollEvent()?.type).toBe('connect-failed');
    expect(take(next, name)).not.toBe(spi.INVALID_SOCKET);
    end();
  });

  it('ends for its first process when that listens on the port anew, or cleans up [DUP-14]', () => {
    const s = take(next, duplicate(old, listener));
    old.close(listener);
    next.close(s);
    const fresh = old.listening(LISTEN_PORT);
    const asked = ask();
    expect(old.accept(fresh)).not.toBe(spi.INVALID_SOCKET);
    settle(...hosts());
    expect(outcome(asked)).toBe(0);
    duplicate(old, fresh);
    const waiting = ask();
    end();
    expect(waiting).toBeGreaterThan(0);
    expect(old.nic.requestIds).toEqual([]);
  });

  it('fails where its record is not one: every field is looked at [DUP-11]', () => {
    const name = duplicate(old, listener);
    const record = decodeRecord(shelf.take(name) ?? new Uint8Array()) as ListenerRecord;
    expect(record).toMatchObject({ kind: 'listener', localPort: LISTEN_PORT, backlog: 2 });
    for (const [field, value] of Object.entries({
      kind: 'something',
      localPort: 0x10000,
      serviceAddress: -1,
      holderAddress: 0.5,
      backlog: '2',
      identity: 'x',
      debug: 1,
    })) {
      const bad = encodeRecord({ ...record, [field]: value });
      expect(decodeRecord(bad), field).toBeNull();
      expect(take(next, shelf.leave(1, bad)), field).toBe(spi.INVALID_SOCKET);
      expect(next.errno.value).toBe(spi.WSAEINVAL);
    }
    end();
  });
});
