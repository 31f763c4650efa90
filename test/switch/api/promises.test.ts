// The promise twins: the same results without blocking the thread, failures as WsaError.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { B, ELSEWHERE, listenOn, name, pattern, World } from '../fakes/world.js';

describe('winsock.promises', () => {
  it('connect, accept, send and receive on one thread [APP-01 ARCH-08]', async () => {
    const world = new World();
    const a = world.a.winsock;
    const b = world.b.winsock;
    const listener = listenOn(world.b, '0.0.0.0');
    const accepting = b.promises.accept(listener, null, null);
    const client = a.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    expect(await a.promises.connect(client, name(B), 16)).toBe(0);
    const server = await accepting;
    const data = pattern(200_000);
    const got = new Uint8Array(data.length);
    const sending = a.promises.send(client, data, data.length, 0);
    expect(await b.promises.recv(server, got, got.length, spi.MSG_WAITALL)).toBe(data.length);
    expect(await sending).toBe(data.length);
    expect(Buffer.compare(got, data)).toBe(0);
    a.closesocket(client);
    expect(await b.promises.recv(server, got, 10, 0)).toBe(0);
    expect(await a.promises.WSACleanup()).toBe(0);
    world.close();
  });

  it('reject with the error that the function would have set', async () => {
    const world = new World();
    const { winsock } = world.a;
    const s = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    const { promises } = winsock;
    await expect(promises.recv(s, new Uint8Array(1), 1, 0)).rejects.toMatchObject({
      code: spi.WSAENOTCONN,
    });
    await expect(promises.accept(s, null, null)).rejects.toMatchObject({ code: spi.WSAEINVAL });
    await expect(promises.connect(s, name(ELSEWHERE), 16)).rejects.toMatchObject({
      code: spi.WSAETIMEDOUT,
    });
    await expect(promises.send(99, new Uint8Array(1), 1, 0)).rejects.toMatchObject({
      codeName: 'WSAENOTSOCK',
    });
    const wait = promises.WSAWaitForMultipleEvents(1, [4], false, 0, false);
    await expect(wait).rejects.toMatchObject({ code: spi.WSA_INVALID_HANDLE });
    world.close();
  });

  it('wait for events and results, and time out by the clock of the host [W9.12.2 W9.11.1]', async () => {
    const world = new World();
    const { winsock } = world.a;
    const event = winsock.WSACreateEvent();
    const before = world.clock.now();
    const waiting = winsock.promises.WSAWaitForMultipleEvents(1, [event], false, 30, false);
    expect(await waiting).toBe(spi.WSA_WAIT_TIMEOUT);
    expect(world.clock.now() - before).toBe(30_000_000);
    const soon = winsock.promises.WSAWaitForMultipleEvents(
      1,
      [event],
      false,
      spi.WSA_INFINITE,
      false,
    );
    winsock.WSASetEvent(event);
    expect(await soon).toBe(0);
    world.close();
  });
});
