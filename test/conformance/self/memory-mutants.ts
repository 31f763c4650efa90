// Mutants of memory and RDMA: bounds, rights, lifetimes, keys, order.

import { createSanProvider } from '../../../provider/san/provider.js';
import type { SanEnvironment } from '../../../provider/san/provider.js';
import * as spi from '../../../provider/spi/index.js';
import { broken, withError } from './broken.js';
import type { Mutant } from './mutant.js';

const REGISTERING = 'registering-memory-for-operations-on-a-san';
const RDMA = 'using-session-protocol-to-transfer-data-on-a-san';

type Rdma = spi.LPFN_WSPRDMAWRITE;

/** An RDMA call is held back until the next send was posted. */
function overtaken(which: 'WSPRdmaRead' | 'WSPRdmaWrite'): ReturnType<typeof broken> {
  return broken(() => {
    let held: (() => void) | null = null;
    const late =
      (inner: Rdma): Rdma =>
      (...parameters) => {
        const [, buffers, , , , , , , overlapped, , , errno] = parameters;
        if (overlapped === null || buffers === null) return inner(...parameters);
        overlapped.Internal = spi.WSS_OPERATION_IN_PROGRESS;
        const copies = buffers.map(({ len, buf, handle }) => ({ len, buf, handle }));
        const [s, , ...rest] = parameters;
        held = () => void inner(s, copies, ...rest);
        return spi.fail(errno, spi.WSA_IO_PENDING);
      };
    return {
      extensions: { [which]: late },
      procedures: ({ lpWSPGetOverlappedResult: result }) => ({
        lpWSPGetOverlappedResult: (s, overlapped, ...rest) => {
          // Only once somebody asks for the transfer itself: by then the send has long arrived.
          const isPending = overlapped?.Internal === spi.WSS_OPERATION_IN_PROGRESS;
          const act = held;
          if (isPending && act !== null) {
            held = null;
            act();
          }
          return result(s, overlapped, ...rest);
        },
      }),
    };
  });
}

export const memoryMutants: readonly Mutant[] = [
  {
    name: 'short-descriptor-accepted',
    source: 'REGRDMA-03: the probe taken for a registration',
    change: {
      kind: 'provider',
      wrap: broken(() => ({ extensions: { WSPRegisterRdmaMemory: acceptsShort } })),
    },
    caughtBy: { cases: [`${REGISTERING}/probe`], stops: ['SHORT_DESCRIPTOR_ACCEPTED'] },
  },
  {
    name: 'probe-without-length',
    source: 'REGRDMA-04; field-evidence 6, S8: the switch learns the length from the refusal',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        extensions: {
          WSPRegisterRdmaMemory: (inner) => (s, buffer, length, flags, block, room, errno) => {
            const given = room.value;
            const returned = inner(s, buffer, length, flags, block, room, errno);
            if (returned !== 0) room.value = given;
            return returned;
          },
        },
      })),
    },
    caughtBy: { cases: [`${REGISTERING}/probe`] },
  },
  {
    name: 'bounds-off-by-one',
    source: 'IMPL-03: containment tested with one byte too many',
    change: { kind: 'provider', wrap: broken(() => ({ procedures: acceptsOneByteMore })) },
    caughtBy: { cases: [`${REGISTERING}/bounds`] },
  },
  {
    name: 'deregistered-in-name-only',
    source: 'field-evidence 0.2: the lazy cache, without the node of the socket dropped',
    change: {
      kind: 'provider',
      wrap: broken(() => ({ extensions: { WSPDeregisterMemory: () => () => 0 } })),
    },
    caughtBy: { cases: [`${REGISTERING}/deregistered`], stops: ['UNREGISTERED_ACCEPTED'] },
  },
  {
    name: 'exposure-outlives-deregistration',
    source: 'CACHE-06: the cached pin left reachable for the peer',
    change: {
      kind: 'provider',
      wrap: broken(() => ({ extensions: { WSPDeregisterRdmaMemory: () => () => 0 } })),
    },
    caughtBy: { cases: [`${REGISTERING}/unexposed`], stops: ['EXPOSURE_OUTLIVED'] },
  },
  {
    name: 'busy-memory-deregistered',
    source: 'DEREGMEM-02: the field provider does not check whether a transfer uses the memory',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        extensions: { WSPDeregisterMemory: (inner) => withError(inner, spi.WSAEINVAL, 0) },
      })),
    },
    caughtBy: { cases: [`${REGISTERING}/busy`], stops: ['BUSY_DEREGISTERED'] },
  },
  {
    name: 'exposed-for-everything',
    source: 'MEM-06: access flags not handed to the NIC',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        extensions: {
          WSPRegisterRdmaMemory:
            (inner) =>
            (s, buffer, length, flags, ...rest) =>
              inner(s, buffer, length, flags === 0 ? 0 : spi.MEM_READWRITE, ...rest),
        },
      })),
    },
    caughtBy: { cases: [`${REGISTERING}/no-write`], stops: ['EXPOSURE_RIGHTS'] },
  },
  {
    name: 'registered-for-everything',
    source: 'IMPL-03: a receive needs the right to write',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        extensions: {
          WSPRegisterMemory: (inner) => (s, buffer, length, flags, errno) =>
            inner(s, buffer, length, flags === spi.MEM_READ ? spi.MEM_READWRITE : flags, errno),
        },
      })),
    },
    caughtBy: { cases: [`${REGISTERING}/local-rights`], stops: ['UNREGISTERED_ACCEPTED'] },
  },
  {
    name: 'offset-ignored',
    source: 'RDMA-03: dwTargetBufferOffset forgotten, which shows only in the second piece',
    change: {
      kind: 'provider',
      wrap: broken(() => ({
        extensions: {
          WSPRdmaWrite:
            (inner) =>
            (s, buffers, count, descriptor, length, _offset, ...rest) =>
              inner(s, buffers, count, descriptor, length, 0, ...rest),
        },
      })),
    },
    caughtBy: { cases: [`${RDMA}/pieces`] },
  },
  {
    name: 'send-overtakes-read',
    source: 'RDMA-09; field-evidence 6, S7: the send after a read is not fenced',
    change: { kind: 'provider', wrap: overtaken('WSPRdmaRead') },
    caughtBy: { cases: [`${RDMA}/send-after-read`] },
  },
  {
    name: 'send-overtakes-write',
    source: 'RDMA-09: "done" arrives before the data',
    change: { kind: 'provider', wrap: overtaken('WSPRdmaWrite') },
    caughtBy: { cases: [`${RDMA}/send-after-write`] },
  },
  {
    name: 'keys-swapped',
    source:
      'field-evidence 0.2: a descriptor carries both keys, and only one of them is for the peer',
    change: { kind: 'source', createProvider: swapsKeys },
    caughtBy: { cases: [`${RDMA}/write`] },
  },
];

/** Answers 0 however little room there is, and stores what fits. */
function acceptsShort(inner: spi.LPFN_WSPREGISTERRDMAMEMORY): spi.LPFN_WSPREGISTERRDMAMEMORY {
  return (s, buffer, length, flags, block, room, errno) => {
    if (block === null || block.length === 0) {
      return inner(s, buffer, length, flags, block, room, errno);
    }
    const own = new Uint8Array(1024);
    room.value = own.length;
    const returned = inner(s, buffer, length, flags, own, room, errno);
    block.set(own.subarray(0, block.length));
    return returned;
  };
}

/** Takes a receive that leaves its registration by one byte, and cuts it. */
function acceptsOneByteMore({ lpWSPRecv: receive }: spi.SanProcTable): Partial<spi.SanProcTable> {
  return {
    lpWSPRecv: (s, buffers, ...rest) => {
      const errno = rest[6];
      const returned = receive(s, buffers, ...rest);
      if (returned === 0 || errno.value !== spi.WSAEFAULT) return returned;
      const shorter = (buffers ?? []).map(({ len, buf }) => ({ len: Math.max(1, len - 1), buf }));
      return receive(s, shorter, ...rest);
    },
  };
}

/** The reference provider on a NIC whose regions say their keys the wrong way round. */
function swapsKeys(environment: SanEnvironment): spi.ServiceProvider {
  const { nic } = environment;
  const originals = new WeakMap<object, unknown>();
  const swappedNic = new Proxy(nic, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...parameters: unknown[]) => {
        const given = parameters.map((one) => originals.get(Object(one) as object) ?? one);
        const result: unknown = Reflect.apply(member, target, given);
        return name === 'registerMemory' ? swapKeys(result, originals) : result;
      };
    },
  });
  return createSanProvider({ ...environment, nic: swappedNic });
}

function swapKeys(region: unknown, originals: WeakMap<object, unknown>): unknown {
  if (typeof region !== 'object' || region === null) return region;
  const { localKey, remoteKey } = region as { localKey: number; remoteKey: number };
  const swappedRegion = new Proxy(region, {
    get: (target, name) => {
      if (name === 'localKey') return remoteKey;
      return name === 'remoteKey' ? localKey : (Reflect.get(target, name, target) as unknown);
    },
  });
  originals.set(swappedRegion, region);
  return swappedRegion;
}
