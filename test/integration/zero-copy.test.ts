// A large send into a posted receive moves its bytes once, between the two applications' own buffers:
// what goes through the provider is counted, and every byte that RDMA touches is looked up.

import { describe, expect, it } from 'vitest';
import { tcpipProvider } from '../../index.js';
import type { Host, HostOptions } from '../../index.js';
import { createSanProvider } from '../../provider/san/provider.js';
import type { SanEnvironment } from '../../provider/san/provider.js';
import * as spi from '../../provider/spi/index.js';
import { closeClean, must, openPair } from './fixture.js';

const MIB = 2 ** 20;
/** What an announcement carries of its data. */
const INITIAL_BYTES = 256;

/** What the switch has handed to a provider. */
class Meter {
  messageBytes = 0;
  /** Local memory of each RDMA call, and memory exposed to the peer. */
  readonly rdma: Uint8Array[] = [];
  readonly exposed: Uint8Array[] = [];

  /** `inner` with every send, RDMA call and exposure noted. */
  readonly hook = (inner: spi.ServiceProvider): spi.ServiceProvider => ({
    ...inner,
    WSPStartupEx: (version, data, info, upcalls, table) => {
      const error = inner.WSPStartupEx(version, data, info, upcalls, table);
      if (error === 0 && table !== null) this.#wrap(table);
      return error;
    },
  });

  #wrap(table: spi.WSPProcTable): void {
    const { lpWSPSend, lpWSPIoctl } = table as spi.SanProcTable;
    table.lpWSPSend = (s, lpBuffers, ...rest) => {
      this.messageBytes += lpBuffers?.[0]?.len ?? 0;
      return lpWSPSend(s, lpBuffers, ...rest);
    };
    table.lpWSPIoctl = (s, code, input, inputLength, output, ...rest) => {
      const result = lpWSPIoctl(s, code, input, inputLength, output, ...rest);
      if (result === 0 && spi.isExtensionFunctionPointer(output))
        this.#wrapExtension(output, input);
      return result;
    };
  }

  #wrapExtension(pointer: spi.ExtensionFunctionPointer, guid: Uint8Array | null): void {
    const text = guid === null ? '' : spi.guidText(guid);
    const name = spi.SAN_EXTENSIONS.find((extension) => extension.guid === text)?.name;
    if (name === 'WSPRdmaRead' || name === 'WSPRdmaWrite') {
      const call = pointer.value as spi.LPFN_WSPRDMAWRITE;
      const wrapped: spi.LPFN_WSPRDMAWRITE = (s, lpBuffers, ...rest) => {
        for (const { buf } of lpBuffers ?? []) if (buf !== null) this.rdma.push(buf);
        return call(s, lpBuffers, ...rest);
      };
      pointer.value = wrapped;
    } else if (name === 'WSPRegisterRdmaMemory') {
      const call = pointer.value as spi.SanExtensions['WSPRegisterRdmaMemory'];
      const wrapped: typeof call = (s, lpBuffer, ...rest) => {
        if (lpBuffer !== null) this.exposed.push(lpBuffer);
        return call(s, lpBuffer, ...rest);
      };
      pointer.value = wrapped;
    }
  }
}

const bytesOf = (parts: readonly Uint8Array[]): number =>
  parts.reduce((sum, { length }) => sum + length, 0);

function isWithin(part: Uint8Array, whole: Uint8Array): boolean {
  const start = part.byteOffset - whole.byteOffset;
  return part.buffer === whole.buffer && start >= 0 && start + part.length <= whole.length;
}

function memoryOf(host: Host, kind: string): Uint8Array {
  const memory = kind === 'VirtualAlloc' ? host.VirtualAlloc(MIB) : Buffer.alloc(MIB);
  if (memory === null) throw new Error('no memory');
  return memory;
}

describe.each(['VirtualAlloc', 'ordinary'])('1 MiB of %s memory', (kind) => {
  it.each([true, false])(
    'moves once, between the buffers of the applications; the receiver reads: %s [XFER-08 XFER-09 XFER-10 MEM-07]',
    async (rdmaRead) => {
      const meters = { a: new Meter(), b: new Meter() };
      const options = ({ hook }: Meter): Partial<HostOptions> => {
        const createProvider = (environment: SanEnvironment): spi.ServiceProvider =>
          createSanProvider(environment, { rdmaRead });
        return { hooks: [hook], providers: [{ createProvider }, tcpipProvider] };
      };
      const { a, b, atA, atB } = await openPair({ a: options(meters.a), b: options(meters.b) });
      const [from, into] = [memoryOf(a, kind), memoryOf(b, kind)];
      for (let at = 0; at < MIB; at += 4) from[at] = at >>> 8;
      const ov = spi.createOverlapped();
      const flags = spi.ref(spi.MSG_WAITALL);
      const before = meters.a.messageBytes + meters.b.messageBytes;
      b.winsock.WSARecv(atB, [{ len: MIB, buf: into }], 1, null, flags, ov, null);
      expect(must(a.winsock, 'send', a.winsock.send(atA, from, MIB, 0))).toBe(MIB);
      expect(b.winsock.WSAGetOverlappedResult(atB, ov, spi.ref(0), true, flags)).toBe(true);
      expect(Buffer.compare(from, into)).toBe(0);

      const [mover, other] = rdmaRead ? [meters.b, meters.a] : [meters.a, meters.b];
      const [near, far] = rdmaRead ? [into, from] : [from, into];
      expect([bytesOf(mover.rdma), bytesOf(other.rdma)]).toEqual([MIB - INITIAL_BYTES, 0]);
      expect([bytesOf(other.exposed), bytesOf(mover.exposed)]).toEqual([MIB - INITIAL_BYTES, 0]);
      expect(mover.rdma.every((part) => isWithin(part, near))).toBe(true);
      expect(other.exposed.every((part) => isWithin(part, far))).toBe(true);
      // The initial portion, and a few headers and descriptors.
      const messages = meters.a.messageBytes + meters.b.messageBytes - before;
      expect(messages).toBeGreaterThanOrEqual(INITIAL_BYTES);
      expect(messages).toBeLessThan(INITIAL_BYTES + 512);

      for (const [host, s] of [
        [a, atA],
        [b, atB],
      ] as const) {
        must(host.winsock, 'closesocket', host.winsock.closesocket(s));
      }
      if (kind === 'VirtualAlloc') {
        a.VirtualFree(from);
        b.VirtualFree(into);
      }
      await closeClean(a, b);
    },
  );
});
