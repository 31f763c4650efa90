// The worked example of provider/spi/ws2spi.ts, as a module; its test compares the two texts.

import * as spi from '../../../provider/spi/index.js';

export const createProvider: spi.CreateProvider = () => ({
  name: 'nothing',
  providerId: '9a4c1e0e-6b0c-4c43-9d5b-5d8a6b0c1f11',
  capabilities: {
    kind: 'san',
    rdmaRead: false,
    registrationCacheCallback: false,
    qos: false,
    maxMessageSize: null,
    maxRdmaSize: null,
    rdmaThresholdSize: null,
    duplicate: false,
  },
  WSPStartupEx(wVersionRequested, lpWSPData, _lpProtocolInfo, upcalls, lpProcTable) {
    if (lpWSPData === null || lpProcTable === null) return spi.WSAEFAULT;
    if (!spi.supportsVersion22(wVersionRequested)) return spi.WSAVERNOTSUPPORTED;
    lpWSPData.wVersion = spi.WSP_VERSION_2_2;
    lpProcTable.lpWSPSocket = (_af, _type, _protocol, _info, _g, _flags, lpErrno) =>
      upcalls.lpWPUCreateSocketHandle(0, null, lpErrno);
    lpProcTable.lpWSPCloseSocket = (s, lpErrno) => upcalls.lpWPUCloseSocketHandle(s, lpErrno);
    lpProcTable.lpWSPIoctl = (_s, code, _in, _cbIn, out, cbOut, lpcb, _o, _r, _t, lpErrno) =>
      code === spi.SIO_ADDRESS_LIST_QUERY && !spi.isExtensionFunctionPointer(out)
        ? spi.answerAddressList([], out, cbOut, lpcb, lpErrno)
        : spi.fail(lpErrno, spi.WSAEINVAL);
    lpProcTable.lpWSPCleanup = () => 0;
    return 0;
  },
});
