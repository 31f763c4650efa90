// What an application learns of the protocols there are, and how it turns their addresses into text
// and back. Sources: INST-03, SPI-03, W2.12, W2.13; winsock2.h by name and parameter order.

import * as wsa from '../../provider/spi/error-codes.js';
import type { Ref, WSAPROTOCOL_INFO } from '../../provider/spi/winsock2.js';
import { SOCKET_ERROR } from '../../provider/spi/winsock2.js';
import { installedProtocols, PROTOCOL_INFO_BYTES } from '../protocols.js';
import type { ApiState } from './last-error.js';

export interface CatalogFunctions {
  /**
   * Fills lpProtocolBuffer with the protocols of the list, or all; SAN providers are hidden. Lengths are
   * in bytes, 628 for an entry. Returns how many, or SOCKET_ERROR: WSAENOBUFS with the length needed,
   * WSAEFAULT. [INST-03]
   */
  WSAEnumProtocols(
    lpiProtocols: readonly number[] | null,
    lpProtocolBuffer: WSAPROTOCOL_INFO[] | null,
    lpdwBufferLength: Ref<number> | null,
  ): number;
  /** Lengths are in characters, the terminating one included. WSAEFAULT, WSAEINVAL. [SPI-03] */
  WSAAddressToString(
    lpsaAddress: Uint8Array | null,
    dwAddressLength: number,
    lpProtocolInfo: WSAPROTOCOL_INFO | null,
    lpszAddressString: Ref<string>,
    lpdwAddressStringLength: Ref<number>,
  ): number;
  /** WSAEFAULT, WSAEINVAL. [SPI-03] */
  WSAStringToAddress(
    AddressString: string,
    AddressFamily: number,
    lpProtocolInfo: WSAPROTOCOL_INFO | null,
    lpAddress: Uint8Array | null,
    lpAddressLength: Ref<number> | null,
  ): number;
}

export function catalogFunctions(state: ApiState): CatalogFunctions {
  const { core } = state.theSwitch;
  const { errno } = state;
  return {
    WSAEnumProtocols(lpiProtocols, lpProtocolBuffer, lpdwBufferLength) {
      if (!state.isStarted()) return SOCKET_ERROR;
      if (lpdwBufferLength === null) return state.fail(wsa.WSAEFAULT);
      const chosen = installedProtocols(core.tcpInfo).filter(({ iProtocol }) =>
        isWanted(lpiProtocols, iProtocol),
      );
      const needed = chosen.length * PROTOCOL_INFO_BYTES;
      if (lpProtocolBuffer === null || lpdwBufferLength.value < needed) {
        lpdwBufferLength.value = needed;
        return state.fail(wsa.WSAENOBUFS);
      }
      lpProtocolBuffer.splice(0, chosen.length, ...chosen.map((info) => structuredClone(info)));
      return chosen.length;
    },
    WSAAddressToString(address, length, info, text, textLength) {
      if (!state.isStarted()) return SOCKET_ERROR;
      const { lpWSPAddressToString } = core.tcp;
      const result = lpWSPAddressToString(address, length, info, text, textLength, errno);
      return state.pass(result, SOCKET_ERROR);
    },
    WSAStringToAddress(text, family, info, address, length) {
      if (!state.isStarted()) return SOCKET_ERROR;
      const { lpWSPStringToAddress } = core.tcp;
      const result = lpWSPStringToAddress(text, family, info, address, length, errno);
      return state.pass(result, SOCKET_ERROR);
    },
  };
}

/** A list of protocols ends at its first 0. */
function isWanted(list: readonly number[] | null, protocol: number): boolean {
  if (list === null) return true;
  const end = list.indexOf(0);
  return (end < 0 ? list : list.slice(0, end)).includes(protocol);
}
