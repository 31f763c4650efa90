// Completion ports, the Win32 view of operations, and cancelling, over the SAN and TCP/IP.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import type { Winsock } from '../../../switch/api/wsa.js';
import type { HostUnderTest, WorldOptions } from '../fakes/world.js';
import { B, connectPair, listenOn, name, pattern, World } from '../fakes/world.js';

const { WSA_IO_PENDING, WSAEINVAL } = spi;
const NONE = 0xffffffff;

function pairOver(
  path: string,
  options: WorldOptions = {},
): { world: World; client: number; server: number } {
  if (path === 'SAN') {
    const world = new World(options);
    return { world, ...connectPair(world) };
  }
  const world = new World({ ...options, a: { fail: { WSPConnect: spi.WSAETIMEDOUT } } });
  const listener = listenOn(world.b, B);
  const client = world.a.winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
  expect(world.a.winsock.connect(client, name(B), 16)).toBe(0);
  return { world, client, server: world.b.winsock.accept(listener, null, null) };
}

function portOf(winsock: Winsock, s: number, key: unknown = 'key'): number {
  const port = winsock.CreateIoCompletionPort(s, 0, key, 1);
  expect(port).not.toBe(0);
  return port;
}

interface Dequeued {
  readonly result: boolean;
  readonly error: number;
  readonly bytes: number;
  readonly key: unknown;
  readonly overlapped: spi.WSAOVERLAPPED | null;
}

function dequeue(winsock: Winsock, port: number, timeout = 0): Dequeued {
  const bytes = spi.ref(77);
  const key = spi.ref<unknown>('untouched');
  const overlapped = spi.ref<spi.WSAOVERLAPPED | null>(spi.createOverlapped());
  winsock.WSASetLastError(0);
  const result = winsock.GetQueuedCompletionStatus(port, bytes, key, overlapped, timeout);
  const error = winsock.WSAGetLastError();
  return { result, error, bytes: bytes.value, key: key.value, overlapped: overlapped.value };
}

function receive(
  { winsock }: HostUnderTest,
  s: number,
  ov: spi.WSAOVERLAPPED,
  length = 32,
): Uint8Array {
  const buf = new Uint8Array(length);
  const result = winsock.WSARecv(s, [{ len: length, buf }], 1, null, spi.ref(0), ov, null);
  if (result !== 0) expect(winsock.WSAGetLastError()).toBe(WSA_IO_PENDING);
  return buf;
}

describe.each(['SAN', 'TCP/IP'])('a completion port over %s', (path) => {
  it('gets a packet with the key for what pended and for what succeeded at once [W9.1 W9.3 W9.13.4 W8.1.4]', () => {
    const { world, client, server } = pairOver(path);
    const { winsock } = world.b;
    const port = portOf(winsock, server, 4711);
    const first = spi.createOverlapped();
    receive(world.b, server, first);
    expect(dequeue(winsock, port)).toEqual({
      result: false,
      error: spi.WAIT_TIMEOUT,
      bytes: 77,
      key: 'untouched',
      overlapped: null,
    });
    world.a.winsock.send(client, pattern(9), 9, 0);
    expect(dequeue(winsock, port, NONE)).toEqual({
      result: true,
      error: 0,
      bytes: 9,
      key: 4711,
      overlapped: first,
    });
    world.a.winsock.send(client, pattern(5), 5, 0);
    world.settle();
    const second = spi.createOverlapped();
    receive(world.b, server, second);
    world.settle();
    expect(dequeue(winsock, port).overlapped).toBe(second);
    expect(dequeue(winsock, port).error).toBe(spi.WAIT_TIMEOUT);
    world.close();
  });

  it('gets no packet when the low bit of hEvent is set; the event is signalled all the same [W9.13.1 W9.13.2 W9.13.6]', () => {
    const { world, client, server } = pairOver(path);
    const { winsock } = world.b;
    const port = portOf(winsock, server);
    const event = winsock.WSACreateEvent();
    const ov = spi.createOverlapped(event | 1);
    receive(world.b, server, ov);
    world.a.winsock.send(client, pattern(9), 9, 0);
    expect(winsock.WSAWaitForMultipleEvents(1, [event | 1], false, NONE, false)).toBe(0);
    expect(dequeue(winsock, port).error).toBe(spi.WAIT_TIMEOUT);
    const bytes = spi.ref(0);
    expect(winsock.WSAGetOverlappedResult(server, ov, bytes, false, spi.ref(0))).toBe(true);
    expect(bytes.value).toBe(9);
    const plain = spi.createOverlapped(event);
    receive(world.b, server, plain);
    world.a.winsock.send(client, pattern(9), 9, 0);
    expect(dequeue(winsock, port, NONE).overlapped).toBe(plain);
    expect(winsock.WSAWaitForMultipleEvents(1, [event], false, 0, false)).toBe(0);
    world.close();
  });

  it('a routine is refused on an associated socket, and never called [W9.8 W4.20]', () => {
    const { world, client } = pairOver(path);
    const { winsock } = world.a;
    portOf(winsock, client);
    let calls = 0;
    const routine = (): void => {
      calls++;
    };
    const buffers = [{ len: 4, buf: pattern(4) }];
    const ov = spi.createOverlapped();
    expect(winsock.WSASend(client, buffers, 1, spi.ref(0), 0, ov, routine)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(WSAEINVAL);
    expect(winsock.WSARecv(client, buffers, 1, spi.ref(0), spi.ref(0), ov, routine)).toBe(-1);
    expect(winsock.WSAGetLastError()).toBe(WSAEINVAL);
    winsock.SleepEx(0, true);
    expect(calls).toBe(0);
    world.close();
  });

  it('the end of a stream, shutdown and disconnect post nothing of their own [W9.10.6]', () => {
    const { world, client, server } = pairOver(path);
    const { winsock } = world.a;
    const port = portOf(winsock, client);
    expect(winsock.WSASendDisconnect(client, null)).toBe(0);
    expect(winsock.WSARecvDisconnect(client, null)).toBe(0);
    expect(winsock.shutdown(client, spi.SD_BOTH)).toBe(0);
    expect(world.b.winsock.recv(server, new Uint8Array(1), 1, 0)).toBe(0);
    world.settle();
    expect(dequeue(winsock, port).error).toBe(spi.WAIT_TIMEOUT);
    world.close();
  });

  it('closesocket ends what is pending with a packet that says so [W9.10.1 W12.6]', () => {
    const { world, server } = pairOver(path);
    const { winsock } = world.b;
    const port = portOf(winsock, server);
    const ov = spi.createOverlapped();
    receive(world.b, server, ov);
    expect(winsock.closesocket(server)).toBe(0);
    const packet = dequeue(winsock, port, NONE);
    expect(packet).toMatchObject({ result: false, error: spi.WSA_OPERATION_ABORTED, bytes: 0 });
    expect(packet.overlapped).toBe(ov);
    expect(ov.Internal).toBe(spi.NTSTATUS.STATUS_CANCELLED);
    world.close();
  });
});

describe('a completion port over SAN', () => {
  it('FILE_SKIP_COMPLETION_PORT_ON_SUCCESS drops packets of calls that succeed at once only [W2.11 W9.13.4]', () => {
    const { world, client, server } = pairOver('SAN');
    const { winsock } = world.b;
    const port = portOf(winsock, server);
    const { FILE_SKIP_COMPLETION_PORT_ON_SUCCESS } = spi;
    expect(
      winsock.SetFileCompletionNotificationModes(server, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS),
    ).toBe(true);
    world.a.winsock.send(client, pattern(5), 5, 0);
    world.settle();
    const atOnce = spi.createOverlapped();
    receive(world.b, server, atOnce);
    expect(atOnce.Internal).toBe(0);
    expect(dequeue(winsock, port).error).toBe(spi.WAIT_TIMEOUT);
    const later = spi.createOverlapped();
    receive(world.b, server, later);
    world.a.winsock.send(client, pattern(5), 5, 0);
    expect(dequeue(winsock, port, NONE).overlapped).toBe(later);
    expect(winsock.SetFileCompletionNotificationModes(server, 8)).toBe(false);
    expect(winsock.WSAGetLastError()).toBe(spi.WSA_INVALID_PARAMETER);
    world.close();
  });

  it('without an event the socket itself can be waited for, unless FILE_SKIP_SET_EVENT_ON_HANDLE [W9.1 W2.11]', () => {
    const { world, client, server } = pairOver('SAN');
    const { winsock } = world.b;
    const wait = (): number => winsock.WaitForSingleObjectEx(server, 0, false);
    receive(world.b, server, spi.createOverlapped());
    expect(wait()).toBe(spi.WSA_WAIT_TIMEOUT);
    world.a.winsock.send(client, pattern(5), 5, 0);
    world.settle();
    expect(wait()).toBe(0);
    receive(world.b, server, spi.createOverlapped());
    expect(wait()).toBe(spi.WSA_WAIT_TIMEOUT);
    winsock.SetFileCompletionNotificationModes(server, spi.FILE_SKIP_SET_EVENT_ON_HANDLE);
    world.a.winsock.send(client, pattern(5), 5, 0);
    world.settle();
    expect(wait()).toBe(spi.WSA_WAIT_TIMEOUT);
    world.close();
  });

  it('a lost connection is 64 to Win32 and 10054 to Winsock [W1.3 W1.5 W8.1.18]', () => {
    const { world, server } = pairOver('SAN');
    const { winsock } = world.b;
    const port = portOf(winsock, server);
    const ov = spi.createOverlapped();
    receive(world.b, server, ov);
    for (const socket of world.b.san.sockets.values()) {
      if (socket.peer !== null) world.b.san.lose(socket, spi.WSAECONNRESET);
    }
    const { result, error, bytes } = dequeue(winsock, port, NONE);
    expect([result, error, bytes]).toEqual([false, spi.ERROR_NETNAME_DELETED, 0]);
    expect(ov.Internal).toBe(spi.NTSTATUS.STATUS_CONNECTION_RESET);
    const count = spi.ref(5);
    expect(winsock.GetOverlappedResult(server, ov, count, false)).toBe(false);
    expect([winsock.WSAGetLastError(), count.value]).toEqual([spi.ERROR_NETNAME_DELETED, 0]);
    expect(winsock.WSAGetOverlappedResult(server, ov, count, false, spi.ref(0))).toBe(false);
    expect(winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    world.close();
  });
});

describe('ports by themselves', () => {
  it('keep what the application posts, in order, and give several out at once [W9.13.4]', () => {
    const world = new World();
    const { winsock } = world.a;
    const port = winsock.CreateIoCompletionPort(NONE, 0, null, 0);
    const ov = spi.createOverlapped();
    for (const key of [1, 2, 3]) {
      expect(winsock.PostQueuedCompletionStatus(port, 10 * key, key, key === 2 ? ov : null)).toBe(
        true,
      );
    }
    expect(dequeue(winsock, port)).toMatchObject({ result: true, bytes: 10, key: 1 });
    const entries: Parameters<Winsock['GetQueuedCompletionStatusEx']>[1] = [];
    const removed = spi.ref(0);
    expect(winsock.GetQueuedCompletionStatusEx(port, entries, 5, removed, 0, false)).toBe(true);
    expect(removed.value).toBe(2);
    expect(entries.map(({ lpCompletionKey }) => lpCompletionKey)).toEqual([2, 3]);
    expect(entries[0]).toMatchObject({ lpOverlapped: ov, dwNumberOfBytesTransferred: 20 });
    world.close();
  });

  it('time out, are closed, and are alertable in the second form [W9.9.1 W9.13.4 W1.3]', () => {
    const world = new World();
    const { winsock } = world.a;
    const port = winsock.CreateIoCompletionPort(NONE, 0, null, 0);
    const before = world.clock.now();
    expect(dequeue(winsock, port, 30).error).toBe(spi.WAIT_TIMEOUT);
    expect(world.clock.now() - before).toBe(30_000_000);
    const removed = spi.ref(9);
    let ran = 0;
    winsock.QueueUserAPC(() => ran++, winsock.GetCurrentThread(), null);
    expect(winsock.GetQueuedCompletionStatusEx(port, [], 1, removed, NONE, true)).toBe(false);
    expect([winsock.WSAGetLastError(), removed.value, ran]).toEqual([192, 0, 1]);
    winsock.QueueUserAPC(() => winsock.CloseHandle(port), winsock.GetCurrentThread(), null);
    expect(winsock.GetQueuedCompletionStatusEx(port, [], 1, removed, NONE, true)).toBe(false);
    expect(dequeue(winsock, port).error).toBe(spi.WSA_INVALID_HANDLE);
    expect(winsock.CloseHandle(port)).toBe(false);
    world.close();
  });

  it('are refused where they cannot be: unknown handles, a second one, a socket without the attribute [W9.1 W3.6]', () => {
    const world = new World();
    const { winsock } = world.a;
    const s = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    const plain = winsock.WSASocket(spi.AF_INET, spi.SOCK_STREAM, 0, null, 0, 0);
    const port = winsock.CreateIoCompletionPort(NONE, 0, null, 0);
    const bad: [number, number, number][] = [
      [12345, port, spi.WSA_INVALID_HANDLE],
      [s, 12345, spi.WSA_INVALID_HANDLE],
      [NONE, port, spi.WSA_INVALID_PARAMETER],
      [plain, port, spi.WSA_INVALID_PARAMETER],
    ];
    for (const [file, existing, error] of bad) {
      expect(winsock.CreateIoCompletionPort(file, existing, null, 0)).toBe(0);
      expect(winsock.WSAGetLastError()).toBe(error);
    }
    expect(winsock.CreateIoCompletionPort(s, port, null, 0)).toBe(port);
    expect(winsock.CreateIoCompletionPort(s, port, null, 0)).toBe(0);
    expect(winsock.WSAGetLastError()).toBe(spi.WSA_INVALID_PARAMETER);
    world.close();
  });

  it('have promise twins, which settle from the event loop [W9.13.4]', async () => {
    const { world, client, server } = pairOver('SAN');
    const { winsock } = world.b;
    const port = portOf(winsock, server, 'key');
    const ov = spi.createOverlapped();
    receive(world.b, server, ov);
    const waiting = winsock.promises.GetQueuedCompletionStatus(port, NONE);
    world.a.winsock.send(client, pattern(9), 9, 0);
    await expect(waiting).resolves.toEqual({
      lpCompletionKey: 'key',
      lpOverlapped: ov,
      Internal: 0,
      dwNumberOfBytesTransferred: 9,
    });
    await expect(winsock.promises.GetQueuedCompletionStatus(port, 20)).rejects.toMatchObject({
      code: spi.WAIT_TIMEOUT,
    });
    const removed = spi.ref(0);
    winsock.PostQueuedCompletionStatus(port, 1, 2, null);
    const { promises } = winsock;
    expect(await promises.GetQueuedCompletionStatusEx(port, [], 4, removed, NONE, false)).toBe(
      true,
    );
    expect(removed.value).toBe(1);
    // What a twin starts is its own: the port hears nothing of it.
    world.a.winsock.send(client, pattern(9), 9, 0);
    expect(await promises.recv(server, new Uint8Array(9), 9, 0)).toBe(9);
    expect(dequeue(winsock, port).error).toBe(spi.WAIT_TIMEOUT);
    world.close();
  });
});

describe('cancelling over SAN', () => {
  it('CancelIoEx ends one operation, or all, and says when there is none [W9.10.5 W9.14.1]', () => {
    const { world, server } = pairOver('SAN');
    const { winsock } = world.b;
    const ovs = [1, 2, 3].map(() => spi.createOverlapped()) as [
      spi.WSAOVERLAPPED,
      spi.WSAOVERLAPPED,
      spi.WSAOVERLAPPED,
    ];
    for (const ov of ovs) receive(world.b, server, ov);
    expect(winsock.CancelIoEx(server, ovs[1])).toBe(true);
    world.settle();
    expect(ovs.map(({ Internal }) => Internal)).toEqual([0x103, 0xc0000120, 0x103]);
    expect(winsock.CancelIoEx(server, ovs[1])).toBe(false);
    expect(winsock.WSAGetLastError()).toBe(spi.ERROR_NOT_FOUND);
    expect(winsock.CancelIoEx(server, null)).toBe(true);
    world.settle();
    expect(ovs.map(({ Internal }) => Internal)).toEqual([0xc0000120, 0xc0000120, 0xc0000120]);
    expect(winsock.CancelIoEx(server, null)).toBe(false);
    expect(winsock.CancelIo(server)).toBe(true);
    expect(winsock.CancelIo(4711)).toBe(false);
    expect(winsock.WSAGetLastError()).toBe(spi.WSA_INVALID_HANDLE);
    world.close();
  });

  it('CancelIo runs the routine with 995, and the data that comes later is not lost [W9.10.5 W9.9.9]', () => {
    const { world, client, server } = pairOver('SAN');
    const { winsock } = world.b;
    const told: number[] = [];
    const buffers = [{ len: 8, buf: new Uint8Array(8) }];
    const ov = spi.createOverlapped();
    const routine = (...values: unknown[]): unknown => told.push(values[0] as number);
    winsock.WSARecv(server, buffers, 1, null, spi.ref(0), ov, routine);
    expect(winsock.CancelIo(server)).toBe(true);
    expect(winsock.SleepEx(0, true)).toBe(spi.WSA_WAIT_IO_COMPLETION);
    expect(told).toEqual([spi.WSA_OPERATION_ABORTED]);
    world.a.winsock.send(client, pattern(6), 6, 0);
    expect(winsock.recv(server, new Uint8Array(8), 8, 0)).toBe(6);
    world.close();
  });

  it('the end of the thread cancels its operations, sets events and drops routines [W5.11 W9.10.2]', () => {
    const { world, server } = pairOver('SAN');
    const { winsock, theSwitch } = world.b;
    const ov = spi.createOverlapped(winsock.WSACreateEvent());
    receive(world.b, server, ov);
    let calls = 0;
    const buffers = [{ len: 8, buf: new Uint8Array(8) }];
    winsock.WSARecv(server, buffers, 1, null, spi.ref(0), spi.createOverlapped(), () => calls++);
    theSwitch.endThread();
    world.settle();
    expect(ov.Internal).toBe(spi.NTSTATUS.STATUS_CANCELLED);
    expect(winsock.WSAWaitForMultipleEvents(1, [ov.hEvent], false, 0, false)).toBe(0);
    winsock.SleepEx(0, true);
    expect(calls).toBe(0);
    const { upcalls } = theSwitch;
    const errno = spi.ref(0);
    const thread = { ThreadHandle: winsock.GetCurrentThread(), Reserved: 0 };
    expect(upcalls.lpWPUQueueApc(thread, () => undefined, null, errno)).toBe(-1);
    expect(errno.value).toBe(spi.WSAEFAULT);
    expect(winsock.QueueUserAPC(() => undefined, winsock.GetCurrentThread(), null)).toBe(false);
    expect(winsock.WSAGetLastError()).toBe(31);
    world.close();
  });

  it.each([
    ['documented', 0xc0000120],
    ['windows', 0x103],
  ] as const)(
    'in profile %s the end of the thread leaves an operation that only a port tells of at %i [W9.10.2]',
    (profile, status) => {
      const { world, server } = pairOver('SAN', { profile });
      portOf(world.b.winsock, server);
      const ov = spi.createOverlapped();
      const withEvent = spi.createOverlapped(world.b.winsock.WSACreateEvent());
      receive(world.b, server, ov);
      receive(world.b, server, withEvent);
      world.b.theSwitch.endThread();
      world.settle();
      expect(ov.Internal).toBe(status);
      expect(withEvent.Internal).toBe(0xc0000120);
      world.close();
    },
  );
});
