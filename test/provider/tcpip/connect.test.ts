// Connecting, listening and accepting: outcomes, errors, the condition function, inheritance.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';
import type { Host } from './fixture.js';

const A = '127.94.1.1';
const B = '127.94.1.2';

const accept = (host: Host, s: number, condition: spi.LPCONDITIONPROC | null = null): number =>
  host.wsp.lpWSPAccept(s, null, null, condition, 'data', lpErrno);

/** A port of the host that nobody listens on, and that stays taken: its socket is bound only. */
function deafName(host: Host): Uint8Array {
  const s = host.socket();
  expect(host.bind(s, host.address)).toBe(0);
  return spi.sockaddrIn(host.address, host.sockName(s)?.port ?? 0);
}

describe('WSPConnect', () => {
  it('blocking: connects, and tells refusal; the same socket may try again', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const s = a.socket();
      failsWith(spi.WSAECONNREFUSED, a.connect(s, deafName(b)));
      expect(a.option(s, spi.SO_ERROR)).toBe(spi.WSAECONNREFUSED);
      expect(a.option(s, spi.SO_ERROR)).toBe(0);
      const { s: listener, name } = b.listener();
      expect(a.connect(s, name)).toBe(0);
      failsWith(spi.WSAEISCONN, a.connect(s, name));
      expect(accept(b, listener)).not.toBe(spi.INVALID_SOCKET);
    });
  });

  it('nonblocking: WSAEWOULDBLOCK, WSAEALREADY meanwhile, then the outcome as FD_CONNECT [W10.7]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const event = machine.upcalls.event();
      const { name } = b.listener();
      const good = a.socket();
      const bad = a.socket();
      for (const s of [good, bad]) {
        expect(a.wsp.lpWSPEventSelect(s, event, spi.FD_CONNECT | spi.FD_WRITE, lpErrno)).toBe(0);
      }
      failsWith(spi.WSAEWOULDBLOCK, a.connect(good, name));
      failsWith(spi.WSAEALREADY, a.connect(good, name));
      failsWith(spi.WSAENOTCONN, a.send(good, new Uint8Array(1)));
      const connected = { lNetworkEvents: 0, errors: 0 };
      machine.until(() => {
        const { lNetworkEvents, iErrorCode } = a.events(good);
        connected.lNetworkEvents |= lNetworkEvents;
        connected.errors += iErrorCode[spi.FD_CONNECT_BIT] ?? 0;
        return connected.lNetworkEvents !== 0;
      });
      expect(connected).toEqual({ lNetworkEvents: spi.FD_CONNECT | spi.FD_WRITE, errors: 0 });
      failsWith(spi.WSAEWOULDBLOCK, a.connect(bad, deafName(b)));
      let refused = spi.createNetworkEvents();
      machine.until(() => {
        refused = a.events(bad);
        return refused.lNetworkEvents !== 0;
      });
      expect(refused.lNetworkEvents).toBe(spi.FD_CONNECT);
      expect(refused.iErrorCode[spi.FD_CONNECT_BIT]).toBe(spi.WSAECONNREFUSED);
      failsWith(spi.WSAEWOULDBLOCK, a.connect(bad, name));
      machine.until(() => a.events(bad).lNetworkEvents === (spi.FD_CONNECT | spi.FD_WRITE));
    });
  });

  it('refuses the wildcard, port 0, other families and short names [W15.9]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const s = a.socket();
      failsWith(spi.WSAEADDRNOTAVAIL, a.connect(s, spi.sockaddrIn('0.0.0.0', 80)));
      failsWith(spi.WSAEADDRNOTAVAIL, a.connect(s, spi.sockaddrIn(B, 0)));
      failsWith(spi.WSAEAFNOSUPPORT, a.connect(s, spi.sockaddrIn6('::1', 80)));
      failsWith(spi.WSAEFAULT, a.connect(s, new Uint8Array([2, 0, 0, 80])));
      expect(a.wsp.lpWSPBind(s, spi.sockaddrIn(A, 0), 16, lpErrno)).toBe(0);
      expect(a.wsp.lpWSPListen(s, 1, lpErrno)).toBe(0);
      failsWith(spi.WSAEINVAL, a.connect(s, spi.sockaddrIn(B, 80)));
    });
  });

  it('reaches programs on 127.0.0.1, from there', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const s = b.socket();
      expect(b.bind(s, '127.0.0.1')).toBe(0);
      expect(b.wsp.lpWSPListen(s, 1, lpErrno)).toBe(0);
      const c = a.socket();
      expect(a.connect(c, spi.sockaddrIn('127.0.0.1', b.sockName(s)?.port ?? 0))).toBe(0);
      expect(a.sockName(c)?.ip).toBe('127.0.0.1');
    });
  });
});

describe('WSPListen and WSPAccept', () => {
  it('want a bound socket, a listening one, and room for the address [LISTEN-02 ACCEPT-07]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const s = a.socket();
      failsWith(spi.WSAEINVAL, a.wsp.lpWSPListen(s, 1, lpErrno));
      failsWith(spi.WSAEINVAL, accept(a, s));
      const { s: listener } = a.listener();
      const { lpWSPAccept } = a.wsp;
      const short = new Uint8Array(15);
      failsWith(spi.WSAEFAULT, lpWSPAccept(listener, short, spi.ref(15), null, null, lpErrno));
      expect(a.wsp.lpWSPListen(listener, 3, lpErrno)).toBe(0);
      const { client } = machine.pair(a, a);
      failsWith(spi.WSAEISCONN, a.wsp.lpWSPListen(client, 1, lpErrno));
    });
  });

  it('nonblocking: WSAEWOULDBLOCK; blocking: waits for the connection [ACCEPT-08]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const { s, name } = b.listener();
      const agent = {
        role: 'late client',
        doWork: () => {
          machine.loop.remove(agent);
          return a.connect(a.socket(), name) + 1;
        },
      };
      machine.loop.add(agent);
      expect(accept(b, s)).not.toBe(spi.INVALID_SOCKET);
      b.nonblocking(s);
      failsWith(spi.WSAEWOULDBLOCK, accept(b, s));
    });
  });

  it('a blocking accept ends with WSAEINTR when its listener is closed', () => {
    onMachine((machine) => {
      const b = machine.host(B);
      const { s } = b.listener();
      const closer = {
        role: 'closer',
        doWork: () => {
          machine.loop.remove(closer);
          return b.wsp.lpWSPCloseSocket(s, lpErrno) + 1;
        },
      };
      machine.loop.add(closer);
      failsWith(spi.WSAEINTR, accept(b, s));
    });
  });

  it('the condition function sees both ends and decides [ACCEPT-03 ACCEPT-05 ACCEPT-08]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const { s, name } = b.listener();
      const seen: unknown[] = [];
      const decide =
        (decision: number): spi.LPCONDITIONPROC =>
        (caller, _d, _s, _g, callee, _c, _group, data) => {
          const ip = (id: spi.WSABUF): unknown => id.buf && spi.parseSockaddr(id.buf, id.len)?.ip;
          seen.push([ip(caller), ip(callee), data]);
          return decision;
        };
      const client = a.socket();
      expect(a.connect(client, name)).toBe(0);
      failsWith(spi.WSATRY_AGAIN, accept(b, s, decide(spi.CF_DEFER)));
      failsWith(spi.WSATRY_AGAIN, accept(b, s, decide(spi.CF_DEFER)));
      const accepted = accept(b, s, decide(spi.CF_ACCEPT));
      expect(b.send(accepted, Buffer.from('hi'))).toBe(2);
      expect(a.recv(client, new Uint8Array(4))).toBe(2);
      expect(seen).toEqual([
        [A, B, 'data'],
        [A, B, 'data'],
        [A, B, 'data'],
      ]);
      const other = a.socket();
      expect(a.connect(other, name)).toBe(0);
      failsWith(spi.WSAECONNREFUSED, accept(b, s, decide(spi.CF_REJECT)));
      failsWith(spi.WSAECONNRESET, a.recv(other, new Uint8Array(1)));
    });
  });

  it('the accepted socket takes over mode, options, event and mask [W10.10 ACCEPT-09]', () => {
    onMachine((machine) => {
      const a = machine.host(A);
      const b = machine.host(B);
      const { s, name } = b.listener();
      expect(b.setOption(s, spi.SO_RCVTIMEO, 5)).toBe(0);
      const event = machine.upcalls.event();
      expect(b.wsp.lpWSPEventSelect(s, event, spi.FD_ACCEPT | spi.FD_WRITE, lpErrno)).toBe(0);
      expect(a.connect(a.socket(), name)).toBe(0);
      machine.until(() => machine.isSignalled(event));
      expect(b.events(s).lNetworkEvents).toBe(spi.FD_ACCEPT);
      const accepted = accept(b, s);
      expect(b.events(accepted).lNetworkEvents).toBe(spi.FD_WRITE);
      expect(b.option(accepted, spi.SO_RCVTIMEO)).toBe(5);
      failsWith(spi.WSAEWOULDBLOCK, b.recv(accepted, new Uint8Array(1)));
    });
  });
});
