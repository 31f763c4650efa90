// How a provider is wrapped: its procedure table, its extension functions and the upcalls it gets pass
// through a Wrapping on their way. A wrapper is a provider like the one inside; it must not know which.
// Sources: STARTUP-05, EXT-01, UPC-01, INIT-02.

import { guidText } from '../spi/guid.js';
import type { ProviderEnvironment, ServiceProvider } from '../spi/provider.js';
import { SIO_GET_EXTENSION_FUNCTION_POINTER } from '../spi/winsock2.js';
import type { ExtensionFunctionPointer, SanExtensions } from '../spi/ws2san.js';
import { isExtensionFunctionPointer, SAN_EXTENSIONS } from '../spi/ws2san.js';
import type { LPWSPIOCTL, WSPProcTable, WSPUpcallTableEx } from '../spi/ws2spi.js';
import { emptyProcTable } from '../spi/ws2spi.js';

/** Something put around a provider: it takes one and is one. Stackable, the first one innermost. */
export interface ProviderHook {
  /** `environment` is what the provider was made with, where whoever applies the hook has one. */
  (inner: ServiceProvider, environment?: ProviderEnvironment): ServiceProvider;
  /** Told before host memory is given back, for hooks that watch memory. [CACHECB-04] */
  readonly memoryFreed?: (memory: Uint8Array) => void;
}

type Extension = NonNullable<ExtensionFunctionPointer['value']>;

/** What becomes of each table on its way through. */
export interface Wrapping {
  /** The table that the caller gets. `inner` is filled; a null slot stays null. */
  procedures(inner: WSPProcTable): WSPProcTable;
  /** The extension function that the caller gets. */
  extension(name: keyof SanExtensions, inner: Extension): Extension;
  /** The upcalls that the provider gets. */
  upcalls(outer: WSPUpcallTableEx): WSPUpcallTableEx;
}

/** A provider with another one inside. */
export function wrapProvider(inner: ServiceProvider, wrapping: Wrapping): ServiceProvider {
  const { name, providerId, capabilities } = inner;
  return {
    name,
    providerId,
    capabilities,
    WSPStartupEx: (version, lpWSPData, lpProtocolInfo, upcalls, lpProcTable) => {
      if (lpProcTable === null) {
        return inner.WSPStartupEx(version, lpWSPData, lpProtocolInfo, upcalls, null);
      }
      const filled = emptyProcTable();
      const own = wrapping.upcalls(upcalls);
      const error = inner.WSPStartupEx(version, lpWSPData, lpProtocolInfo, own, filled);
      if (error === 0) Object.assign(lpProcTable, withExtensions(wrapping, filled));
      return error;
    },
  };
}

/** Extensions pass by WSPIoctl; the same function comes out for the same one, as a pointer would. */
function withExtensions(wrapping: Wrapping, filled: WSPProcTable): WSPProcTable {
  const wrapped = wrapping.procedures(filled);
  const { lpWSPIoctl: ioctl } = wrapped;
  if (ioctl === null) return wrapped;
  const known = new Map<Extension, Extension>();
  const lpWSPIoctl: LPWSPIOCTL = (
    s,
    code,
    input,
    cbIn,
    output,
    cbOut,
    bytes,
    ov,
    fn,
    id,
    errno,
  ) => {
    const returned = ioctl(s, code, input, cbIn, output, cbOut, bytes, ov, fn, id, errno);
    const isPointer = code === SIO_GET_EXTENSION_FUNCTION_POINTER && returned === 0;
    if (!isPointer || input === null || !isExtensionFunctionPointer(output)) return returned;
    const text = guidText(input);
    const entry = SAN_EXTENSIONS.find(({ guid }) => guid === text);
    const found = output.value;
    if (entry === undefined || found === null) return returned;
    const own = known.get(found) ?? wrapping.extension(entry.name, found);
    known.set(found, own);
    output.value = own;
    return returned;
  };
  return { ...wrapped, lpWSPIoctl };
}
