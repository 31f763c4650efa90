// Mutants of starting, connecting and ending: versions, counts, conditions, events, handles.

import * as spi from '../../../provider/spi/index.js';
import { broken, withError } from './broken.js';
import type { Mutant } from './mutant.js';

const INITIATING = 'initiating-a-connection';
const ACCEPTING = 'accepting-connection-requests';
const CLOSING = 'closing-a-san-socket';

export const connectionMutants: readonly Mutant[] = [
  {
    name: 'any-version',
    source: 'STARTUP-06: the requested version not looked at',
    change: {
      kind: 'provider',
      wrap: (inner) => ({
        ...inner,
        WSPStartupEx: (_version, ...rest) => inner.WSPStartupEx(0x0202, ...rest),
      }),
    },
    caughtBy: { cases: ['initializing-a-san-service-provider/old-version'] },
  },
  {
    name: 'cleanup-not-counted',
    source: 'CLEANUP-01: the first WSPCleanup ends everything',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: ({ lpWSPCleanup: cleanup }) => ({
          lpWSPCleanup: (errno) => {
            const returned = cleanup(errno);
            while (cleanup(spi.ref(0)) === 0);
            return returned;
          },
        }),
      })),
    },
    caughtBy: { cases: ['cleaning-up-a-process-for-a-san/counted'] },
  },
  {
    name: 'extension-query-checks-socket',
    source: 'INIT-11; field-evidence 6, S9: the query comes with a socket that is none',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: ({ lpWSPIoctl: ioctl }) => ({
          lpWSPIoctl: (s, ...rest) =>
            s === spi.INVALID_SOCKET ? spi.fail(rest[9], spi.WSAENOTSOCK) : ioctl(s, ...rest),
        }),
      })),
    },
    caughtBy: { cases: ['windows-sockets-spi-extensions-for-sans/any-socket'] },
  },
  {
    name: 'no-wildcard',
    source: 'BIND-04: 0.0.0.0 is every NIC, not a foreign address',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: ({ lpWSPBind: bind }) => ({
          lpWSPBind: (s, name, namelen, errno) =>
            name !== null && spi.sockaddrInAddress(name) === 0
              ? spi.fail(errno, spi.WSAEADDRNOTAVAIL)
              : bind(s, name, namelen, errno),
        }),
      })),
    },
    caughtBy: { cases: ['creating-and-binding-san-sockets/bind-own'] },
  },
  {
    name: 'backlog-ignored',
    source: 'LISTEN-04: a full backlog refuses at once',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: ({ lpWSPListen: listen }) => ({
          lpWSPListen: (s, _backlog, errno) => listen(s, spi.SOMAXCONN, errno),
        }),
      })),
    },
    caughtBy: { cases: ['listening-for-connections-on-a-san/backlog-full'] },
  },
  {
    name: 'condition-not-asked',
    source: 'ACCEPT-02: the condition function taken for optional',
    change: { kind: 'provider', wrap: broken(() => ({ procedures: conditionIs(spi.CF_ACCEPT) })) },
    caughtBy: { cases: [`${ACCEPTING}/condition`], stops: ['CONDITION_NOT_CALLED'] },
  },
  {
    name: 'condition-asked-twice',
    source: 'ACCEPT-02: asked once more after the decision',
    change: { kind: 'provider', wrap: broken(() => ({ procedures: asksTwice })) },
    caughtBy: { cases: [`${ACCEPTING}/condition`], stops: ['CONDITION_OUTSIDE_ACCEPT'] },
  },
  {
    name: 'defer-is-reject',
    source: 'ACCEPT-08; field-evidence 6, S12: CF_DEFER puts the request back',
    change: { kind: 'provider', wrap: broken(() => ({ procedures: defersByRejecting })) },
    caughtBy: { cases: [`${ACCEPTING}/defer`] },
  },
  {
    name: 'reject-would-block',
    source: 'ACCEPT-05: a refused request reported as none',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: ({ lpWSPAccept: accept }) => ({
          lpWSPAccept: (...parameters) => {
            const s = accept(...parameters);
            const errno = parameters[5];
            if (errno.value === spi.WSAECONNREFUSED) errno.value = spi.WSAEWOULDBLOCK;
            return s;
          },
        }),
      })),
    },
    caughtBy: { cases: [`${ACCEPTING}/reject`] },
  },
  {
    name: 'event-not-reset',
    source: 'EVT-06: WSPEnumNetworkEvents copies and clears, but forgets the event',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: ({ lpWSPEnumNetworkEvents: enumerate }) => ({
          lpWSPEnumNetworkEvents: (s, _hEvent, events, errno) => enumerate(s, 0, events, errno),
        }),
      })),
    },
    caughtBy: { cases: [`${INITIATING}/would-block`] },
  },
  {
    name: 'accept-leaves-event',
    source: 'ACCEPT-06: the event of FD_ACCEPT stays signalled',
    change: {
      kind: 'provider',
      wrap: broken(() => ({ upcalls: () => ({ lpWPUResetEvent: () => true }) })),
    },
    caughtBy: { cases: [`${ACCEPTING}/reset-first`] },
  },
  {
    name: 'timeout-is-final',
    source: 'CONNECT-05: a promise about TCP/IP that nobody can give',
    change: { kind: 'provider', wrap: broken(() => ({ procedures: timeoutIsReset })) },
    caughtBy: { cases: [`${INITIATING}/not-wsd`] },
  },
  {
    name: 'handle-given-back-first',
    source: 'CLOSE-03: the last upcall comes first',
    change: { kind: 'provider', wrap: broken(() => handleFirst()) },
    caughtBy: { cases: [`${CLOSING}/own-side`], stops: ['NEVER_COMPLETED', 'UPCALL_AFTER_LAST'] },
  },
  {
    name: 'handle-never-given-back',
    source: 'CLOSE-03: the reference of an upcall in flight is never dropped',
    change: {
      kind: 'provider',
      wrap: broken(() => ({ upcalls: () => ({ lpWPUCloseSocketHandle: () => 0 }) })),
    },
    caughtBy: { cases: ['creating-and-binding-san-sockets/handle'] },
  },
  {
    name: 'closed-socket-unknown-error',
    source: 'CLOSE-06; field-evidence 6, S4: calls after close are WSAENOTSOCK, not WSAEINVAL',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        extensions: {
          WSPDeregisterMemory: (inner) => withError(inner, spi.WSAENOTSOCK, spi.WSAEINVAL),
        },
      })),
    },
    caughtBy: { cases: [`${CLOSING}/late-calls`], stops: ['CLOSED_SOCKET_SERVED'] },
  },
];

function conditionIs(answer: number): (inner: spi.SanProcTable) => Partial<spi.SanProcTable> {
  return ({ lpWSPAccept: accept }) => ({
    lpWSPAccept: (s, addr, addrlen, _condition, data, errno) =>
      accept(s, addr, addrlen, () => answer, data, errno),
  });
}

function asksTwice({ lpWSPAccept: accept }: spi.SanProcTable): Partial<spi.SanProcTable> {
  return {
    lpWSPAccept: (s, addr, addrlen, condition, data, errno) =>
      accept(
        s,
        addr,
        addrlen,
        condition === null
          ? null
          : (...parameters) => {
              condition(...parameters);
              return condition(...parameters);
            },
        data,
        errno,
      ),
  };
}

function defersByRejecting({ lpWSPAccept: accept }: spi.SanProcTable): Partial<spi.SanProcTable> {
  return {
    lpWSPAccept: (s, addr, addrlen, condition, data, errno) =>
      accept(
        s,
        addr,
        addrlen,
        condition === null
          ? null
          : (...parameters) => (condition(...parameters) === spi.CF_ACCEPT ? 0 : spi.CF_REJECT),
        data,
        errno,
      ),
  };
}

function timeoutIsReset(inner: spi.SanProcTable): Partial<spi.SanProcTable> {
  return {
    lpWSPEnumNetworkEvents: (s, hEvent, events, errno) => {
      const returned = inner.lpWSPEnumNetworkEvents(s, hEvent, events, errno);
      const outcome = events?.iErrorCode[spi.FD_CONNECT_BIT];
      if (events !== null && outcome === spi.WSAETIMEDOUT) {
        events.iErrorCode[spi.FD_CONNECT_BIT] = spi.WSAECONNRESET;
      }
      return returned;
    },
  };
}

/** Gives the handle back inside WSPCloseSocket, before anything was aborted. */
function handleFirst(): ReturnType<Parameters<typeof broken>[0]> {
  const handles = new Map<number, number>();
  let upcalls: spi.WSPUpcallTableEx | null = null;
  return {
    upcalls: (outer) => {
      upcalls = outer;
      return {
        lpWPUCreateSocketHandle: (entry, context, errno) => {
          const handle = outer.lpWPUCreateSocketHandle(entry, context, errno);
          handles.set(Number(context), handle);
          return handle;
        },
        lpWPUCloseSocketHandle: () => 0,
      };
    },
    procedures: ({ lpWSPCloseSocket: close }) => ({
      lpWSPCloseSocket: (s, errno) => {
        const handle = handles.get(s);
        handles.delete(s);
        if (handle !== undefined) upcalls?.lpWPUCloseSocketHandle(handle, spi.ref(0));
        return close(s, errno);
      },
    }),
  };
}
