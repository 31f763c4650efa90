// Mutants after the field provider's own defects that no other table has. Source: field-evidence 0.3.

import { createProvider } from '../../../provider/san/provider.js';
import type { SanEnvironment } from '../../../provider/san/provider.js';
import * as spi from '../../../provider/spi/index.js';
import type { Breakage } from './broken.js';
import { broken, replacing, withError } from './broken.js';
import type { Mutant } from './mutant.js';

/** A breakage that needs what the provider is made with. */
function inEnvironment(make: (environment: SanEnvironment) => Breakage): Mutant['change'] {
  return {
    kind: 'source',
    createProvider: (environment: SanEnvironment) =>
      broken(() => make(environment))(createProvider(environment)),
  };
}

export const fieldMutants: readonly Mutant[] = [
  {
    name: 'register-needs-a-port',
    source: 'field-evidence 0.3, 6: WSPRegisterMemory of an unbound socket follows a null port',
    change: {
      kind: 'provider',
      wrap: broken(() => {
        const bound = new Set<number>();
        return {
          procedures: (inner) => ({
            lpWSPBind: (s, ...rest) => {
              bound.add(s);
              return inner.lpWSPBind(s, ...rest);
            },
            lpWSPAccept: (...parameters) => {
              const s = inner.lpWSPAccept(...parameters);
              bound.add(s);
              return s;
            },
          }),
          extensions: {
            WSPRegisterMemory:
              (inner) =>
              (s, ...rest) => {
                if (!bound.has(s)) throw new TypeError('the port is null');
                return inner(s, ...rest);
              },
          },
        };
      }),
    },
    caughtBy: { cases: ['calls-in-every-state/WSPRegisterMemory-unbound'] },
  },
  {
    name: 'receive-before-connection',
    source: 'field-evidence 0.3, 9: the state is not checked before a receive is posted',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: (inner) => ({
          lpWSPRecv: withError(inner.lpWSPRecv, spi.WSAENOTCONN, spi.WSA_IO_PENDING),
        }),
      })),
    },
    caughtBy: { cases: ['calls-in-every-state/WSPRecv-bound'] },
  },
  {
    name: 'evicted-registration-followed',
    source:
      'field-evidence 0.3, 3: after an eviction the next transfer follows a null registration',
    change: {
      kind: 'provider',
      wrap: broken(() => {
        let hasEvicted = false;
        return {
          procedures: (inner) => ({
            lpWSPSend: (...parameters) => {
              if (hasEvicted) throw new TypeError('the registration is null');
              return inner.lpWSPSend(...parameters);
            },
          }),
          extensions: {
            WSPMemoryRegistrationCacheCallback:
              (inner) =>
              (...parameters) => {
                hasEvicted = true;
                return inner(...parameters);
              },
          },
        };
      }),
    },
    caughtBy: { cases: ['caching-registered-memory/callback'] },
  },
  {
    name: 'partial-overlap-not-evicted',
    source:
      'field-evidence 0.3, 2: only registrations wholly inside of the freed range are dropped',
    change: inEnvironment(({ memory }) => {
      const ranges: { readonly start: number; readonly end: number }[] = [];
      return {
        extensions: {
          WSPRegisterMemory:
            (inner) =>
            (s, buffer, length, ...rest) => {
              const start = buffer === null ? 0 : memory.addressOf(buffer);
              ranges.push({ start, end: start + length });
              return inner(s, buffer, length, ...rest);
            },
          WSPMemoryRegistrationCacheCallback:
            (inner) =>
            (address, size, ...rest) => {
              const isCut = ranges.some(({ start, end }) => {
                const isShared = start < address + size && address < end;
                return isShared && (start < address || end > address + size);
              });
              return isCut ? 0 : inner(address, size, ...rest);
            },
        },
      };
    }),
    caughtBy: { cases: ['caching-registered-memory/callback-partial'] },
  },
  {
    name: 'close-waits-for-sends-only',
    source: 'field-evidence 0.3, 4: send_cnt || send_cnt, so that receives are never waited for',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        upcalls: (outer) => ({
          lpWPUCompleteOverlappedRequest: (s, overlapped, error, ...rest) =>
            error === spi.WSA_OPERATION_ABORTED
              ? 0
              : outer.lpWPUCompleteOverlappedRequest(s, overlapped, error, ...rest),
        }),
      })),
    },
    caughtBy: { cases: ['closing-a-san-socket/own-side'], stops: ['NEVER_COMPLETED'] },
  },
  {
    name: 'failed-start-keeps-the-lock',
    source: 'field-evidence 0.3, 5: WSPStartupEx returns with the global lock when it fails',
    change: {
      kind: 'provider',
      wrap: (inner) => {
        let isLocked = false;
        return {
          ...inner,
          WSPStartupEx: (...parameters) => {
            if (isLocked) throw new Error('waits for ever for the global lock');
            const error = inner.WSPStartupEx(...parameters);
            isLocked = error !== 0;
            return error;
          },
        };
      },
    },
    caughtBy: { cases: ['initializing-a-san-service-provider/start-after-failures'] },
  },
  {
    name: 'failed-accept-keeps-the-lock',
    source: 'field-evidence 0.3, 5: the listen callback keeps the lock when it finds no memory',
    change: {
      kind: 'provider',
      wrap: broken(() => {
        let isLocked = false;
        return {
          procedures: (inner) => ({
            lpWSPAccept: (...parameters) => {
              if (isLocked) throw new Error("waits for ever for the listener's lock");
              const s = inner.lpWSPAccept(...parameters);
              isLocked = s === spi.INVALID_SOCKET && parameters[5].value === spi.WSAENOBUFS;
              return s;
            },
          }),
        };
      }),
    },
    caughtBy: { cases: ['accepting-connection-requests/after-a-failure'] },
  },
  {
    name: 'knob-out-of-range',
    source: 'field-evidence 0.3, 8: a retry count over 0xF becomes 0xFF, which no queue pair takes',
    change: {
      kind: 'source',
      createProvider: (environment: SanEnvironment) => {
        const nic = replacing(environment.nic, {
          createQueuePair: (options) =>
            environment.nic.createQueuePair({ ...options, retryCount: 0xff }),
        });
        return createProvider({ ...environment, nic });
      },
    },
    caughtBy: { cases: ['initiating-a-connection/would-block'] },
  },
  {
    name: 'refused-accept-leaks',
    source: 'field-evidence 0.3, 9: the error paths of accept leak',
    change: inEnvironment(({ memory }) => ({
      procedures: (inner) => ({
        lpWSPAccept: (...parameters) => {
          const s = inner.lpWSPAccept(...parameters);
          if (s === spi.INVALID_SOCKET && parameters[5].value === spi.WSAECONNREFUSED) {
            memory.VirtualAlloc(64);
          }
          return s;
        },
      }),
    })),
    caughtBy: { cases: ['accepting-connection-requests/reject'] },
  },
  {
    name: 'socket-list-unprotected',
    source: 'field-evidence 0.3, 9: what changes the list of sockets while it is walked is lost',
    change: {
      kind: 'provider',
      wrap: broken(() => {
        let depth = 0;
        const lost = new Set<number>();
        return {
          upcalls: (outer) => ({
            lpWPUCompleteOverlappedRequest: (...parameters) => {
              depth++;
              try {
                return outer.lpWPUCompleteOverlappedRequest(...parameters);
              } finally {
                depth--;
              }
            },
          }),
          procedures: (inner) => ({
            lpWSPSocket: (...parameters) => {
              const s = inner.lpWSPSocket(...parameters);
              if (depth > 0) lost.add(s);
              return s;
            },
            lpWSPBind: (s, name, length, errno) =>
              lost.has(s)
                ? spi.fail(errno, spi.WSAENOTSOCK)
                : inner.lpWSPBind(s, name, length, errno),
          }),
        };
      }),
    },
    caughtBy: { cases: ['completing-data-transfer-requests/sockets-inside'] },
  },
  {
    name: 'wait-asserted-away',
    source: 'field-evidence 0.2: fWait TRUE is asserted never to happen',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: (inner) => ({
          lpWSPGetOverlappedResult: (s, overlapped, bytes, fWait, ...rest) => {
            if (fWait) throw new Error('assertion failed: !fWait');
            return inner.lpWSPGetOverlappedResult(s, overlapped, bytes, fWait, ...rest);
          },
        }),
      })),
    },
    caughtBy: { cases: ['completing-data-transfer-requests/waits'] },
  },
  {
    name: 'descriptor-followed',
    source:
      'field-evidence 0.2: a descriptor carries a local pointer, and whoever gets it follows it',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        extensions: {
          WSPDeregisterRdmaMemory:
            (inner) =>
            (...parameters) => {
              const returned = inner(...parameters);
              if (returned !== 0 && parameters[3].value === spi.WSAEINVAL) {
                throw new TypeError('the node that it points to is not there');
              }
              return returned;
            },
        },
      })),
    },
    caughtBy: {
      cases: [
        'registering-memory-for-operations-on-a-san/unexpose-errors',
        'calls-in-every-state/WSPDeregisterRdmaMemory-connected',
      ],
    },
  },
  {
    name: 'descriptor-of-any-length',
    source: 'field-evidence 6, S19: the length of a descriptor is the exact size of its structure',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        extensions: {
          WSPRdmaWrite:
            (inner) =>
            (s, buffers, count, descriptor, _length, ...rest) =>
              inner(s, buffers, count, descriptor, descriptor?.length ?? 0, ...rest),
        },
      })),
    },
    caughtBy: { cases: ['using-session-protocol-to-transfer-data-on-a-san/arguments'] },
  },
  {
    name: 'missing-registration-invalid',
    source: 'field-evidence 0.2, error map: a missing registration is WSAEFAULT',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: (inner) => ({
          lpWSPSend: withError(inner.lpWSPSend, spi.WSAEFAULT, spi.WSAEINVAL),
          lpWSPRecv: withError(inner.lpWSPRecv, spi.WSAEFAULT, spi.WSAEINVAL),
        }),
      })),
    },
    caughtBy: { cases: ['registering-memory-for-operations-on-a-san/unregistered'] },
  },
  {
    name: 'loopback-unreachable',
    source: 'field-evidence 6, S10: WSAEHOSTUNREACH forbids the switch to try TCP/IP',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        procedures: (inner) => ({
          lpWSPConnect: withError(inner.lpWSPConnect, spi.WSAEADDRNOTAVAIL, spi.WSAEHOSTUNREACH),
        }),
      })),
    },
    caughtBy: { cases: ['initiating-a-connection/to-itself'] },
  },
  {
    name: 'late-selection-forgotten',
    source: 'field-evidence 6, S11: WSPEventSelect signals what has happened already',
    change: {
      kind: 'provider',
      wrap: broken(() => {
        let isSelecting = false;
        return {
          procedures: (inner) => ({
            lpWSPEventSelect: (...parameters) => {
              isSelecting = true;
              try {
                return inner.lpWSPEventSelect(...parameters);
              } finally {
                isSelecting = false;
              }
            },
          }),
          upcalls: (outer) => ({
            lpWPUSetEvent: (...parameters) => isSelecting || outer.lpWPUSetEvent(...parameters),
          }),
        };
      }),
    },
    caughtBy: { cases: ['synchronizing-operations-on-a-san/late-select'] },
  },
];
