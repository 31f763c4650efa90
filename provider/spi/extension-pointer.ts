// How a function travels through WSPIoctl. In C it is a pointer in a byte buffer; here it cannot be
// bytes, so the output of that one control code is a box. Sources: EXT-01, INIT-11, W11.4.

/**
 * Where SIO_GET_EXTENSION_FUNCTION_POINTER puts its result. A function cannot travel as bytes, so
 * the ioctl's lpvOutBuffer is this box instead; cbOutBuffer is 8, and 8 bytes are returned, as if
 * it were a pointer. lpvInBuffer is the 16-byte GUID, cbInBuffer 16. The socket argument of this
 * code is not to be validated: it may come before any socket exists. [EXT-01, INIT-11, W11.4]
 */
export interface ExtensionFunctionPointer {
  value: ((...args: never[]) => unknown) | null;
}

export const EXTENSION_FUNCTION_POINTER_BYTES = 8;

/** Tells the box of SIO_GET_EXTENSION_FUNCTION_POINTER from a byte buffer. */
export function isExtensionFunctionPointer(
  output: Uint8Array | ExtensionFunctionPointer | null,
): output is ExtensionFunctionPointer {
  return output !== null && !(output instanceof Uint8Array);
}
