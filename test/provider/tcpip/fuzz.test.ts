// Garbage from above: addresses, lengths, control data, option values, control codes and buffers of every
// size, on sockets of every kind. Whatever comes, a call returns, fails with an error that has a name,
// and writes nothing outside its buffers; afterwards the sockets still work. Seeded: fast-check prints
// the seed and the path of a counterexample, to be given to fc.assert as { seed, path }.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { lpErrno, onMachine } from './fixture.js';
import type { Host } from './fixture.js';
import {
  bound,
  buffersOf,
  ioctl,
  queued,
  receiveFrom,
  recvMsg,
  sendMsg,
  sendTo,
} from './messages.js';

const A = '127.84.1.1';
const RUNS = { numRuns: 300, seed: 0xf022 };
/** Bytes around every buffer that a call may write: they must stay as they are. */
const GUARD = 16;
const GUARD_BYTE = 0xa5;

interface Guarded {
  readonly view: Uint8Array;
  readonly isIntact: () => boolean;
}

function guarded(length: number): Guarded {
  const whole = new Uint8Array(length + 2 * GUARD).fill(GUARD_BYTE);
  return {
    view: whole.subarray(GUARD, GUARD + length),
    isIntact: () =>
      whole.subarray(0, GUARD).every((byte) => byte === GUARD_BYTE) &&
      whole.subarray(GUARD + length).every((byte) => byte === GUARD_BYTE),
  };
}

const bytes = (max: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength: max });
const length = fc.oneof(fc.integer({ min: -4, max: 64 }), fc.constantFrom(0x7fffffff, -1, NaN));

/** Addresses that are nearly right, and stay on this machine. */
const address = fc.oneof(
  fc.constant(null),
  bytes(40).map((raw) => {
    const name = raw.slice();
    name.set([spi.AF_INET, 0].slice(0, name.length));
    if (name.length > 4) name[4] = 127;
    return name;
  }),
  bytes(40).map((raw) => raw.map((byte, index) => (index < 2 ? byte | 0x80 : byte))),
);

/** Control data that is nearly right. */
const control = bytes(80).map((raw) => {
  const data = raw.slice();
  if (data.length >= 16 && (data[15] ?? 0) < 200) {
    data.fill(0, 1, 8);
    data.set([(data[8] ?? 0) & 1 ? 41 : 0, 0, 0, 0, spi.IP_PKTINFO, 0, 0, 0], 8);
  }
  return data;
});

/** Every failure has a code that the vocabulary knows. */
function isSound(result: number): boolean {
  const isFailure = result === spi.SOCKET_ERROR || result === spi.INVALID_SOCKET;
  return !isFailure || spi.WSA_ERRORS.some(({ code }) => code === lpErrno.value);
}

/** What a datagram socket must still do after anything. */
function stillWorks(host: Host, s: number, name: Uint8Array): void {
  host.nonblocking(s);
  while (queued(host, s) > 0 || receiveFrom(host, s).error !== spi.WSAEWOULDBLOCK) {
    receiveFrom(host, s);
  }
  expect(sendTo(host, s, 'alive', name)).toBe(5);
  expect(receiveFrom(host, s).text).toBe('alive');
}

it('addresses and control data of sends are refused or sent, and the socket lives [W5.5 W6.3 W6.6]', () => {
  onMachine((machine) => {
    const host = machine.host(A);
    const { s, name } = bound(host);
    fc.assert(
      fc.property(address, length, control, length, (to, toLength, data, dataLength) => {
        expect(isSound(sendTo(host, s, 'x', to, { length: toLength }))).toBe(true);
        const message: spi.WSAMSG = {
          name: to,
          namelen: toLength,
          lpBuffers: buffersOf('x'),
          dwBufferCount: 1,
          Control: { len: dataLength, buf: data },
          dwFlags: 0,
        };
        expect(isSound(sendMsg(host, s, message))).toBe(true);
        const exact = { ...message, name, namelen: 16, Control: { len: data.length, buf: data } };
        expect(isSound(sendMsg(host, s, exact))).toBe(true);
        const { lpWSPBind, lpWSPCloseSocket, lpWSPSocket } = host.wsp;
        const other = lpWSPSocket(spi.AF_INET, spi.SOCK_DGRAM, 0, null, 0, 1, lpErrno);
        expect(isSound(lpWSPBind(other, to, toLength, lpErrno))).toBe(true);
        lpWSPCloseSocket(other, lpErrno);
      }),
      RUNS,
    );
    stillWorks(host, s, name);
  });
});

it('buffers of receives are written inside only, whatever lengths are claimed [W8.2.3 W8.3.3]', () => {
  onMachine((machine) => {
    const host = machine.host(A);
    const { s, name } = bound(host);
    host.nonblocking(s);
    host.setOption(s, spi.IP_PKTINFO, 1, spi.IPPROTO_IP);
    host.setOption(s, spi.IP_RECVTTL, 1, spi.IPPROTO_IP);
    const size = fc.integer({ min: 0, max: 48 });
    fc.assert(
      fc.property(size, size, size, length, length, length, (data, from, room, ...claims) => {
        const buffers = [guarded(data), guarded(from), guarded(room)] as const;
        const [payload, sender, told] = buffers;
        sendTo(host, s, new Uint8Array(20), name);
        const message: spi.WSAMSG = {
          name: sender.view,
          namelen: claims[0] ?? 0,
          lpBuffers: [{ len: claims[1] ?? 0, buf: payload.view }],
          dwBufferCount: 1,
          Control: { len: claims[2] ?? 0, buf: told.view },
          dwFlags: 0,
        };
        expect(isSound(recvMsg(host, s, message, spi.ref(0)))).toBe(true);
        sendTo(host, s, new Uint8Array(20), name);
        const { lpWSPRecvFrom } = host.wsp;
        const into = [{ len: data, buf: payload.view }];
        const [count, flags, claim] = [spi.ref(0), spi.ref(0), spi.ref(claims[0] ?? 0)];
        const result = lpWSPRecvFrom(
          s,
          into,
          1,
          count,
          flags,
          sender.view,
          claim,
          null,
          null,
          null,
          lpErrno,
        );
        expect(isSound(result)).toBe(true);
        expect(buffers.every(({ isIntact }) => isIntact())).toBe(true);
      }),
      RUNS,
    );
    stillWorks(host, s, name);
  });
});

const LEVELS = [spi.SOL_SOCKET, spi.IPPROTO_IP, spi.IPPROTO_IPV6, spi.IPPROTO_TCP, 77];
const OPTIONS = (Object.entries(spi) as [string, unknown][])
  .filter(([name]) => /^(SO|IP|IPV6|TCP)_/.test(name))
  .map(([, value]) => value as number);
/** Codes that wait for a change would wait for ever. */
const CODES = (Object.entries(spi) as [string, unknown][])
  .filter(([name]) => /^(FION|SIO)/.test(name) && !name.endsWith('_CHANGE'))
  .map(([, value]) => value as number);

it('option values and control codes are taken or refused, on every kind of socket [W11.1 W11.2]', () => {
  onMachine((machine) => {
    const host = machine.host(A);
    const { s } = bound(host);
    const stream = host.socket();
    const option = fc.oneof(fc.constantFrom(...OPTIONS), fc.integer({ min: 0, max: 0xffff }));
    const code = fc.oneof(fc.constantFrom(...CODES), fc.integer({ min: 0, max: 0xffffffff }));
    fc.assert(
      fc.property(
        fc.constantFrom(...LEVELS),
        option,
        bytes(24),
        fc.integer({ min: -1, max: 64 }),
        code,
        (level, name_, value, claim, ioCode) => {
          for (const one of [s, stream]) {
            const { lpWSPSetSockOpt, lpWSPGetSockOpt } = host.wsp;
            expect(isSound(lpWSPSetSockOpt(one, level, name_, value, claim, lpErrno))).toBe(true);
            const told = guarded(value.length);
            const room = spi.ref(claim);
            expect(isSound(lpWSPGetSockOpt(one, level, name_, told.view, room, lpErrno))).toBe(
              true,
            );
            const output = guarded(value.length);
            expect(isSound(ioctl(host, one, ioCode, value, output.view))).toBe(true);
            expect([told.isIntact(), output.isIntact()]).toEqual([true, true]);
          }
        },
      ),
      RUNS,
    );
    // Whatever was set: a fresh socket is what it was.
    const fresh = bound(host);
    stillWorks(host, fresh.s, fresh.name);
  });
});
