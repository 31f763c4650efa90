// "Creating and Binding SAN Sockets", "Receiving and Translating NIC Addresses": descriptors, handles,
// local addresses. Sources: SOCKET, BIND, COMP-05 to COMP-09, UPC-03, UPC-04, IOC-02, ADDR.

import * as spi from '../../../provider/spi/index.js';
import type { ConformanceCase } from '../case.js';
import { casesOf } from '../case.js';
import { expectCode, expectSame, expectThat } from '../check.js';
import type { Side } from '../side.js';

function openWith(
  side: Side,
  wanted: Partial<Record<'af' | 'type' | 'protocol' | 'g' | 'flags' | 'reserved', number>>,
): number {
  const { procs, errno } = side;
  const { af, type, protocol, g, flags } = {
    af: spi.AF_INET,
    type: spi.SOCK_STREAM,
    protocol: spi.IPPROTO_TCP,
    g: 0,
    flags: spi.WSA_FLAG_OVERLAPPED,
    ...wanted,
  };
  const info = { ...spi.tcpProtocolInfo(), dwProviderReserved: wanted.reserved ?? 0 };
  const s = procs.lpWSPSocket(af, type, protocol, info, g, flags, errno);
  return side.value('WSPSocket', s, spi.INVALID_SOCKET).code;
}

/** The length that SIO_ADDRESS_LIST_QUERY says, and its code. */
function addressList(side: Side, s: number, out: Uint8Array): { code: number; length: number } {
  const { procs, errno } = side;
  const length = spi.ref(0);
  const code = spi.SIO_ADDRESS_LIST_QUERY;
  const returned = procs.lpWSPIoctl(
    s,
    code,
    null,
    0,
    out,
    out.length,
    length,
    null,
    null,
    null,
    errno,
  );
  return { code: side.code('WSPIoctl', returned), length: length.value };
}

const creating = casesOf('creating-and-binding-san-sockets', [
  {
    name: 'handle',
    title: 'WSPSocket gets one handle of the switch for every descriptor of its own',
    clauses: ['SOCKET-03', 'COMP-06', 'COMP-07', 'UPC-03'],
    run: ({ left }) => {
      const sockets = [left.socket(), left.socket(), left.socket()];
      expectSame('WPUCreateSocketHandle calls', left.upcalls.openHandles.size, 3);
      expectSame('different descriptors', new Set(sockets).size, 3);
    },
  },
  {
    name: 'no-handle',
    title: 'WSPSocket fails with the error of WPUCreateSocketHandle when there is no handle',
    clauses: ['SOCKET-02', 'UPC-03'],
    run: ({ left }) => {
      left.upcalls.refusesHandles = true;
      expectCode('WSPSocket', left.trySocket().code, spi.WSAENOBUFS);
      left.upcalls.refusesHandles = false;
      left.socket();
    },
  },
  {
    name: 'wrong-kind',
    title: 'WSPSocket refuses what is no overlapped TCP stream of AF_INET, each with its own error',
    clauses: ['SOCKET-01', 'SOCKET-02', 'SOCKET-05', 'ARCH-12'],
    run: ({ left }) => {
      expectCode('AF_INET6', openWith(left, { af: spi.AF_INET6 }), spi.WSAEAFNOSUPPORT);
      const datagram = { type: spi.SOCK_DGRAM, protocol: spi.IPPROTO_UDP };
      const kinds = [spi.WSAESOCKTNOSUPPORT, spi.WSAEPROTOTYPE, spi.WSAEPROTONOSUPPORT];
      expectCode('SOCK_DGRAM', openWith(left, datagram), ...kinds);
      expectCode('UDP on a stream', openWith(left, { protocol: spi.IPPROTO_UDP }), ...kinds);
      expectCode('a group', openWith(left, { g: 77 }), spi.WSAEINVAL);
      expectCode('no overlapped', openWith(left, { flags: 0 }), spi.WSAEINVAL);
      expectSame('handles left', left.upcalls.openHandles.size, 0);
    },
  },
  {
    name: 'foreign-duplicate',
    title: 'WSPSocket refuses a dwProviderReserved that no WSPDuplicateSocket gave',
    clauses: ['SOCKET-04'],
    run: ({ left }) => {
      const code = openWith(left, { reserved: 0x7fabcdef });
      expectThat(code !== 0, 'WSPSocket', 'a failure', 'success');
      expectSame('handles left', left.upcalls.openHandles.size, 0);
    },
  },
  {
    name: 'bind-own',
    title: 'WSPBind takes an address of the NIC and the wildcard address',
    clauses: ['BIND-01', 'BIND-04', 'COMP-08', 'INST-11'],
    run: (context) => {
      const { left } = context;
      expectCode('its own', left.bind(left.socket(), context.port()), 0);
      expectCode('0.0.0.0', left.bind(left.socket(), context.port(), '0.0.0.0'), 0);
    },
  },
  {
    name: 'bind-foreign',
    title: 'WSPBind answers WSAEADDRNOTAVAIL for an address that no NIC of it has',
    clauses: ['BIND-02', 'COMP-09'],
    run: (context) => {
      const { left, right } = context;
      for (const ip of [right.address, '10.1.2.3']) {
        const code = left.bind(left.socket(), context.port(), ip);
        expectCode(`WSPBind(${ip})`, code, spi.WSAEADDRNOTAVAIL);
      }
    },
  },
  {
    name: 'bind-malformed',
    title: 'WSPBind answers WSAEFAULT for no name, a short one, and one of another family',
    clauses: ['BIND-01', 'BIND-02', 'IMPL-04'],
    run: (context) => {
      const { left } = context;
      const s = left.socket();
      const { procs, errno } = left;
      const name = spi.sockaddrIn(left.address, context.port());
      const bind = (bytes: Uint8Array | null, length: number): number =>
        left.code('WSPBind', procs.lpWSPBind(s, bytes, length, errno));
      expectCode('no name', bind(null, 16), spi.WSAEFAULT);
      expectCode('8 bytes', bind(name, 8), spi.WSAEFAULT);
      const other = name.slice();
      other[0] = spi.AF_INET6;
      expectCode('another family', bind(other, 16), spi.WSAEFAULT, spi.WSAEAFNOSUPPORT);
      expectCode('at last a good one', bind(name, 16), 0);
    },
  },
  {
    name: 'same-port',
    title: 'WSPBind never answers WSAEADDRINUSE: ports belong to TCP/IP',
    clauses: ['BIND-03', 'COMP-03'],
    run: (context) => {
      const { left } = context;
      const port = context.port();
      expectCode('the first', left.bind(left.socket(), port), 0);
      expectCode('the second', left.bind(left.socket(), port), 0);
    },
  },
  {
    name: 'descriptor-not-reused',
    title: 'a descriptor is valid until WSPCloseSocket and not given out again at once',
    clauses: ['CLOSESOCK-02', 'DUP-17'],
    run: ({ left }) => {
      const first = left.socket();
      expectCode('WSPCloseSocket', left.close(first), 0);
      const later = left.socket();
      expectThat(first !== later, 'the next descriptor', 'another number', 'the same');
      expectCode('the closed one', left.listen(first, 1), spi.WSAENOTSOCK);
    },
  },
]);

const addresses = casesOf('receiving-and-translating-nic-addresses', [
  {
    name: 'list',
    title: 'SIO_ADDRESS_LIST_QUERY lists the IP addresses of its NICs, with port 0',
    clauses: ['IOC-02', 'ADDR-01', 'ADDR-07', 'INIT-06', 'IOCTL-04'],
    run: ({ left }) => {
      const out = new Uint8Array(1024);
      const { code, length } = addressList(left, left.socket(), out);
      expectCode('WSPIoctl', code, 0);
      const list = spi.parseAddressList(out, length);
      expectThat(list !== null, 'the output', 'a SOCKET_ADDRESS_LIST');
      const own = list?.find(({ ip }) => ip === left.address);
      expectThat(own !== undefined, 'the list', left.address, 'not in it');
      expectSame('its port', own?.port ?? -1, 0);
    },
  },
  {
    name: 'short-list',
    title: 'SIO_ADDRESS_LIST_QUERY with too little room is WSAEFAULT with the length needed',
    clauses: ['IOCTL-04', 'W11.7'],
    run: ({ left }) => {
      const s = left.socket();
      const { length: needed } = addressList(left, s, new Uint8Array(1024));
      for (const room of [0, 8, needed - 1]) {
        const { code, length } = addressList(left, s, new Uint8Array(room));
        expectCode(`room for ${room} bytes`, code, spi.WSAEFAULT);
        expectSame('lpcbBytesReturned', length, needed);
      }
      expectCode('room enough', addressList(left, s, new Uint8Array(needed)).code, 0);
    },
  },
]);

export const socketCases: readonly ConformanceCase[] = [...creating, ...addresses];
