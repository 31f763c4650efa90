// The functions that SIO_GET_EXTENSION_FUNCTION_POINTER fetches. The socket is not looked at: it may
// come before there is any. Sources: W2.16, W11.4, W9.13.5; provider/spi/base-extensions.ts.

import { CANCELIO_GUID } from '../spi/base-extensions.js';
import * as wsa from '../spi/errors.js';
import {
  EXTENSION_FUNCTION_POINTER_BYTES,
  isExtensionFunctionPointer,
} from '../spi/extension-pointer.js';
import type { ExtensionFunctionPointer } from '../spi/extension-pointer.js';
import { GUID_BYTES, guidText } from '../spi/guid.js';
import type { Ref } from '../spi/winsock2.js';
import { WSAID_WSARECVMSG, WSAID_WSASENDMSG } from '../spi/ws2san.js';
import { createCancel } from './cancel.js';
import { createRecvMsg, createSendMsg } from './message-functions.js';
import type { Context } from './record.js';

interface Request {
  readonly input: Uint8Array | null;
  readonly inputLength: number;
  readonly output: Uint8Array | ExtensionFunctionPointer | null;
  readonly outputLength: number;
  readonly lpcb: Ref<number>;
}

/** Answers the control code: 0, or the error. */
export function createExtensionAnswer(context: Context): (request: Request) => number {
  const functions = new Map<string | null, NonNullable<ExtensionFunctionPointer['value']>>([
    [WSAID_WSASENDMSG, createSendMsg(context)],
    [WSAID_WSARECVMSG, createRecvMsg(context)],
    [CANCELIO_GUID, createCancel(context)],
  ]);
  return ({ input, inputLength, output, outputLength, lpcb }) => {
    if (input === null || Math.min(inputLength, input.length) < GUID_BYTES) return wsa.WSAEFAULT;
    const found = functions.get(guidText(input));
    if (found === undefined) return wsa.WSAEINVAL;
    const isRoom = outputLength >= EXTENSION_FUNCTION_POINTER_BYTES;
    if (!isExtensionFunctionPointer(output) || !isRoom) return wsa.WSAEFAULT;
    output.value = found;
    lpcb.value = EXTENSION_FUNCTION_POINTER_BYTES;
    return 0;
  };
}
