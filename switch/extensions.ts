// The extension functions that an application fetches with SIO_GET_EXTENSION_FUNCTION_POINTER: a table
// from GUID to function, filled when the application's functions are made (api/wsa.ts). They are the
// switch's own: those of a provider would go round it. Sources: W2.16, W11.4, XFER-17.

import { guidBytes, guidText } from '../provider/spi/guid.js';
import type { ExtensionFunctionPointer } from '../provider/spi/ws2san.js';

export type ExtensionFunction = NonNullable<ExtensionFunctionPointer['value']>;

export class ExtensionTable {
  readonly #functions = new Map<string, ExtensionFunction>();

  /** Makes `call` what the GUID `id` (one of WSAID_*) fetches. A second one replaces the first. */
  add(id: string, call: ExtensionFunction): void {
    this.#functions.set(guidText(guidBytes(id)) ?? '', call);
  }

  /** The function of the GUID in the first 16 bytes of `input`; null when there is none. */
  find(input: Uint8Array): ExtensionFunction | null {
    return this.#functions.get(guidText(input) ?? '') ?? null;
  }
}
