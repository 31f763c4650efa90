// WSPGetOverlappedResult: what it returns, and that asking moves things on.

import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { connectedPair, settle, shutDown, underEveryProfile } from './harness.js';

function exchange(profile: spi.Profile) {
  const pair = connectedPair({ profile });
  const buffer = new Uint8Array(64);
  pair.left.register(pair.a, buffer);
  pair.right.register(pair.b, buffer);
  const overlapped = spi.createOverlapped(1);
  pair.left.receive(pair.a, overlapped, buffer);
  return { ...pair, buffer, overlapped };
}

underEveryProfile('WSPGetOverlappedResult', (profile) => {
  it('is WSA_IO_INCOMPLETE while pending, then TRUE with bytes and flags [GOR-01 GOR-02 OVL-10 WSPSEND-07 WSPRECV-04]', () => {
    const { left, right, a, b, buffer, overlapped } = exchange(profile);
    expect(left.result(a, overlapped)).toEqual([-1, spi.WSA_IO_INCOMPLETE]);
    right.send(b, spi.createOverlapped(1), buffer.subarray(0, 7));
    settle(left, right);
    const bytes = spi.ref(-1);
    const flags = spi.ref(-1);
    const { procs, errno } = left;
    expect(procs.lpWSPGetOverlappedResult(a, overlapped, bytes, false, flags, errno)).toBe(true);
    expect([bytes.value, flags.value]).toEqual([7, 0]);
    expect(left.result(a, overlapped)).toEqual([7, 0]);
    shutDown(left, right);
  });

  it('drives the NIC itself and may notify of other operations meanwhile [GOR-05 OVL-04]', () => {
    const { left, right, a, b, buffer, overlapped } = exchange(profile);
    const other = spi.createOverlapped(8);
    left.receive(a, other, buffer);
    for (let sent = 0; sent < 2; sent++) {
      right.send(b, spi.createOverlapped(1), buffer);
      settle(right);
    }
    expect(left.result(a, overlapped)).toEqual([64, 0]);
    expect(left.upcalls.completions()).toMatchObject([{ overlapped: other }]);
    shutDown(left, right);
  });

  it('returns FALSE, not SOCKET_ERROR, for a bad descriptor or no structure [GOR-03 CLOSE-06]', () => {
    const { left, right, a, overlapped } = exchange(profile);
    const { procs, errno } = left;
    const bytes = spi.ref(0);
    const ask = (s: number, structure: spi.WSAOVERLAPPED | null): [boolean, number] => [
      procs.lpWSPGetOverlappedResult(s, structure, bytes, false, null, errno),
      errno.value,
    ];
    expect(ask(spi.INVALID_SOCKET, overlapped)).toEqual([false, spi.WSAENOTSOCK]);
    expect(ask(a, null)).toEqual([false, spi.WSAEINVAL]);
    shutDown(left, right);
  });

  it('fails with the error of the operation and leaves the count alone [GOR-03 GOR-04]', () => {
    const { left, right, a, b, overlapped } = exchange(profile);
    right.close(b);
    settle(left, right);
    const error = profile.flushedReceiveError ?? spi.WSAECONNRESET;
    expect(left.result(a, overlapped)).toEqual([-1, error]);
    shutDown(left, right);
  });

  it('waits in the loop of the thread when it is told to [GOR-02]', () => {
    const waits = { ...profile, overlappedResultWaits: true };
    const { left, right, a, b, buffer, overlapped } = exchange(waits);
    right.send(b, spi.createOverlapped(1), buffer);
    left.loop.add({ role: 'the other host', doWork: () => right.loop.poll() });
    const bytes = spi.ref(0);
    const { procs, errno } = left;
    expect(procs.lpWSPGetOverlappedResult(a, overlapped, bytes, true, null, errno)).toBe(true);
    expect(bytes.value).toBe(64);
    right.procs.lpWSPCleanup(right.errno);
    left.procs.lpWSPCleanup(left.errno);
  });

  it('answers a wait with WSAENETDOWN where the profile says so [GOR-05]', () => {
    const { left, right, a, overlapped } = exchange({ ...profile, overlappedResultWaits: false });
    const { procs, errno } = left;
    expect(procs.lpWSPGetOverlappedResult(a, overlapped, null, true, null, errno)).toBe(false);
    expect(errno.value).toBe(spi.WSAENETDOWN);
    shutDown(left, right);
  });
});
