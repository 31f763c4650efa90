// One end of a connection over a SAN, shared by processes: WSADuplicateSocket above the whole stack.

import { describe, expect, it } from 'vitest';
import { closeClean } from './fixture.js';
import { digest, pattern, Trio } from './sharing.js';

const SMALL = 100;
const LARGE = 200_000;

describe('a connection over a SAN in another process', () => {
  it('is there without anything having moved, and comes with the first send [DUP-01 DUP-04]', async () => {
    const trio = await Trio.open();
    const child = await trio.sharing();
    await trio.send('a', SMALL, 1);
    expect(await trio.receive('b', SMALL)).toBe(digest(pattern(SMALL, 1)));
    expect(await child.ask({ act: 'send', bytes: SMALL, seed: 2 })).toEqual({
      result: SMALL,
      error: 0,
    });
    expect(await trio.receive('b', SMALL)).toBe(digest(pattern(SMALL, 2)));
    await trio.send('b', SMALL, 3);
    expect(await child.ask({ act: 'receive', bytes: SMALL })).toMatchObject({
      error: 0,
      digest: digest(pattern(SMALL, 3)),
    });
    const sent = trio.send('a', LARGE, 4);
    expect(await trio.receive('b', LARGE)).toBe(digest(pattern(LARGE, 4)));
    await sent;
    await child.ask({ act: 'close' });
    trio.a.winsock.closesocket(trio.atA);
    await trio.until(() => trio.b.winsock.recv(trio.atB, new Uint8Array(1), 1, 0) === 0, 'the end');
    trio.b.winsock.closesocket(trio.atB);
    await child.end();
    await closeClean(trio.a, trio.b);
  });
});
