// Raw sockets: allowed to the privileged alone; what comes back from the network of a datagram sent,
// shown with answers that a raw socket makes; and dual-stack sockets on hosts with an address.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import type { Host, Machine } from './fixture.js';
import {
  bindTo,
  bound,
  buffersOf,
  controlOf,
  messageSocket,
  packetInfo,
  receiveFrom,
  recvMsg,
  sendMsg,
  sendTo,
  wsaMsg,
} from './messages.js';

const A = '127.83.1.1';
const B = '127.83.1.2';
/** A protocol number that is set aside for experiments: nobody answers. */
const PROTOCOL = 253;
const NOBODY = 65_534;

function rawSocket(host: Host, protocol: number, family: number = spi.AF_INET): number {
  return host.wsp.lpWSPSocket(family, spi.SOCK_RAW, protocol, null, 0, 1, lpErrno);
}

/** Whether this process may have raw sockets. */
function isPrivileged(host: Host): boolean {
  const s = rawSocket(host, PROTOCOL);
  if (s === spi.INVALID_SOCKET) {
    failsWith(spi.WSAEACCES, s);
    return false;
  }
  expect(host.wsp.lpWSPCloseSocket(s, lpErrno)).toBe(0);
  return true;
}

/** Runs `body` if it may have raw sockets; if not, isPrivileged has shown the refusal. */
function privileged(body: (machine: Machine, host: Host) => void): void {
  onMachine((machine) => {
    const host = machine.host(null);
    if (isPrivileged(host)) body(machine, host);
  });
}

describe('raw sockets', () => {
  it('without privileges are WSAEACCES [W4.20 W1.2]', () => {
    onMachine((machine) => {
      const host = machine.host(A);
      const isRoot = process.geteuid?.() === 0;
      if (isRoot) process.seteuid?.(NOBODY);
      try {
        failsWith(spi.WSAEACCES, rawSocket(host, PROTOCOL));
      } finally {
        if (isRoot) process.seteuid?.(0);
      }
    });
  });

  it('need a protocol; the types that TCP/IP does not have are WSAESOCKTNOSUPPORT [W3.3]', () => {
    onMachine((machine) => {
      const host = machine.host(A);
      failsWith(spi.WSAEPROTONOSUPPORT, rawSocket(host, 0));
      failsWith(spi.WSAEPROTONOSUPPORT, rawSocket(host, 256));
      const { lpWSPSocket } = host.wsp;
      for (const type of [spi.SOCK_RDM, spi.SOCK_SEQPACKET]) {
        failsWith(spi.WSAESOCKTNOSUPPORT, lpWSPSocket(2, type, 0, null, 0, 1, lpErrno));
      }
    });
  });

  it('send and receive messages, with the header of IPv4 in front, and choose their source [W6.1 W6.6 W8.3.1]', () => {
    privileged((_machine, host) => {
      const s = messageSocket(host, { type: spi.SOCK_RAW, protocol: PROTOCOL });
      failsWith(spi.WSAEINVAL, sendTo(host, s, 'x', spi.sockaddrIn(B, 0)));
      bindTo(host, s, spi.sockaddrIn(A, 0));
      const receiver = messageSocket(host, { type: spi.SOCK_RAW, protocol: PROTOCOL });
      bindTo(host, receiver, spi.sockaddrIn(B, 0));
      expect(host.option(s, spi.SO_TYPE)).toBe(spi.SOCK_RAW);
      // A port means nothing here, and is no obstacle.
      expect(sendTo(host, s, 'raw', spi.sockaddrIn(B, 99))).toBe(3);
      const got = receiveFrom(host, receiver);
      expect([got.text.slice(20), got.from?.ip]).toEqual(['raw', A]);
      const control = controlOf(packetInfo('127.83.1.9'));
      const name = spi.sockaddrIn(B, 0);
      const sent = wsaMsg({ name, lpBuffers: buffersOf('chosen'), Control: control });
      expect(sendMsg(host, s, sent)).toBe(6);
      const into = wsaMsg({ name: new Uint8Array(16), lpBuffers: buffersOf(new Uint8Array(64)) });
      expect(recvMsg(host, receiver, into, spi.ref(0))).toBe(0);
      expect(spi.parseSockaddr(into.name ?? new Uint8Array(0))?.ip).toBe('127.83.1.9');
      expect(
        host.connect(
          s,
          name.map((byte, index) => (index === 3 ? 9 : byte)),
        ),
      ).toBe(0);
      expect(host.send(s, Buffer.from('peer'))).toBe(4);
      expect(receiveFrom(host, receiver).text.slice(20)).toBe('peer');
    });
  });

  it('one message is at most what IP carries; urgent and partial are refused [W4.9 W4.10]', () => {
    privileged((_machine, host) => {
      const s = messageSocket(host, { type: spi.SOCK_RAW, protocol: PROTOCOL });
      bindTo(host, s, spi.sockaddrIn(A, 0));
      const to = spi.sockaddrIn(B, 0);
      const most = host.option(s, spi.SO_MAX_MSG_SIZE);
      expect(most).toBe(65_515);
      failsWith(spi.WSAEMSGSIZE, sendTo(host, s, new Uint8Array(most + 1), to));
      expect(sendTo(host, s, new Uint8Array(most), to)).toBe(most);
      failsWith(spi.WSAEOPNOTSUPP, sendTo(host, s, 'x', to, { flags: spi.MSG_OOB }));
      failsWith(spi.WSAEOPNOTSUPP, sendTo(host, s, 'x', to, { flags: spi.MSG_PARTIAL }));
    });
  });
});

/** An ICMP message about a UDP datagram that `name` sent to `target`. */
function icmpAbout(type: number, code: number, name: Uint8Array, target: Uint8Array): Uint8Array {
  const icmp = new Uint8Array(8 + 20 + 8);
  icmp.set([type, code]);
  icmp.set([0x45, 0, 0, 29, 0, 0, 0, 0, 1, spi.IPPROTO_UDP], 8);
  icmp.set(name.subarray(4, 8), 8 + 12);
  icmp.set(target.subarray(4, 8), 8 + 16);
  icmp.set(name.subarray(2, 4), 28);
  icmp.set(target.subarray(2, 4), 30);
  icmp.set([0, 9], 32);
  let sum = 0;
  for (let at = 0; at < icmp.length; at += 2) sum += ((icmp[at] ?? 0) << 8) | (icmp[at + 1] ?? 0);
  const folded = (sum & 0xffff) + (sum >>> 16);
  const checksum = ~((folded & 0xffff) + (folded >>> 16)) & 0xffff;
  icmp.set([checksum >>> 8, checksum & 0xff], 2);
  return icmp;
}

describe('answers of the network', () => {
  it.each([
    ['time to live expired', 11, 0, spi.WSAENETRESET],
    ['network unreachable', 3, 0, spi.WSAENETUNREACH],
    ['host unreachable', 3, 1, spi.WSAEHOSTUNREACH],
    ['port unreachable', 3, 3, spi.WSAECONNRESET],
  ])(
    '%s: the next WSASendMsg, or else a receive, reports it once [W6.7 W6.12 W5.5 W5.7]',
    (...row) => {
      const [, type, code, error] = row;
      privileged((machine, host) => {
        const raw = messageSocket(host, { type: spi.SOCK_RAW, protocol: spi.IPPROTO_ICMP });
        bindTo(host, raw, spi.sockaddrIn('127.0.0.1', 0));
        const from = bound(host, A);
        const to = bound(host, B);
        const answer = (): void => {
          const icmp = icmpAbout(type, code, from.name, to.name);
          expect(sendTo(host, raw, icmp, from.name)).toBe(icmp.length);
        };
        const send = (): number =>
          sendMsg(host, from.s, wsaMsg({ name: to.name, lpBuffers: buffersOf('x') }));
        answer();
        machine.until(() => send() === spi.SOCKET_ERROR);
        failsWith(error, spi.SOCKET_ERROR);
        expect(send()).toBe(1);
        host.nonblocking(from.s);
        answer();
        machine.until(() => receiveFrom(host, from.s).error === error);
        expect(receiveFrom(host, from.s).error).toBe(spi.WSAEWOULDBLOCK);
      });
    },
  );
});

describe('dual-stack sockets', () => {
  it('IPV6_V6ONLY is on at first, and settled by binding [W2.9 W6.6]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const s = messageSocket(a, { family: spi.AF_INET6 });
      expect(a.option(s, spi.IPV6_V6ONLY, spi.IPPROTO_IPV6)).toBe(1);
      bindTo(a, s, spi.sockaddrIn6('::', 0));
      failsWith(spi.WSAEINVAL, a.setOption(s, spi.IPV6_V6ONLY, 0, spi.IPPROTO_IPV6));
      const mapped = spi.sockaddrIn6(`::ffff:${A}`, 9);
      failsWith(spi.WSAENETUNREACH, sendTo(a, s, 'x', mapped));
      failsWith(spi.WSAEAFNOSUPPORT, sendTo(a, s, 'x', spi.sockaddrIn(A, 9)));
    });
  });

  it('datagrams of both families, and the peer sees the host’s address [W6.6 W5.5]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const s = messageSocket(a, { family: spi.AF_INET6 });
      expect(a.setOption(s, spi.IPV6_V6ONLY, 0, spi.IPPROTO_IPV6)).toBe(0);
      const name = bindTo(a, s, spi.sockaddrIn6('::', 0));
      const four = bound(b);
      const six = bound(b, '::1');
      const port = spi.sockaddrPort(four.name);
      expect(sendTo(a, s, 'four', spi.sockaddrIn6(`::ffff:${B}`, port))).toBe(4);
      expect(receiveFrom(b, four.s)).toMatchObject({ text: 'four', from: { ip: A } });
      expect(sendTo(a, s, 'six', six.name)).toBe(3);
      expect(receiveFrom(b, six.s)).toMatchObject({ text: 'six', from: { ip: '::1' } });
      expect(sendTo(b, four.s, 'back', spi.sockaddrIn(A, spi.sockaddrPort(name)))).toBe(4);
      expect(receiveFrom(a, s).from?.ip).toBe('::ffff:7f53:102');
    });
  });

  it('a stream that listens on both is reached over both [W2.9]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const listener = messageSocket(a, { family: spi.AF_INET6, type: spi.SOCK_STREAM });
      expect(a.setOption(listener, spi.IPV6_V6ONLY, 0, spi.IPPROTO_IPV6)).toBe(0);
      const name = bindTo(a, listener, spi.sockaddrIn6('::', 0));
      expect(a.wsp.lpWSPListen(listener, 4, lpErrno)).toBe(0);
      const port = spi.sockaddrPort(name);
      const accept = (): spi.Endpoint | null => {
        const peer = new Uint8Array(28);
        const s = a.wsp.lpWSPAccept(listener, peer, spi.ref(28), null, null, lpErrno);
        expect(s).not.toBe(spi.INVALID_SOCKET);
        return spi.parseSockaddr(peer);
      };
      expect(b.connect(b.socket(), spi.sockaddrIn(A, port))).toBe(0);
      expect(accept()?.ip).toBe('::ffff:7f53:102');
      const six = messageSocket(b, { family: spi.AF_INET6, type: spi.SOCK_STREAM });
      expect(b.connect(six, spi.sockaddrIn6('::1', port))).toBe(0);
      expect(accept()?.ip).toBe('::1');
      const mapped = messageSocket(b, { family: spi.AF_INET6, type: spi.SOCK_STREAM });
      expect(b.setOption(mapped, spi.IPV6_V6ONLY, 0, spi.IPPROTO_IPV6)).toBe(0);
      expect(b.connect(mapped, spi.sockaddrIn6(`::ffff:${A}`, port))).toBe(0);
      expect(accept()?.ip).toBe('::ffff:7f53:102');
    });
  });
});
