// Start and end of the base provider: versions, reference counts, the procedure table.

import { describe, expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { createProvider } from '../../../provider/tcpip/provider.js';
import { failsWith, lpErrno, onMachine } from './fixture.js';

const A = '127.92.1.1';
const INFO = spi.tcpProtocolInfo();

describe('WSPStartupEx', () => {
  it('refuses versions below 2.2, and missing structures [STARTUP-02 STARTUP-06 W13.7]', () => {
    onMachine((machine) => {
      const { WSPStartupEx } = createProvider(machine.environment(spi.ipv4Number(A)));
      const upcalls = machine.upcalls.table();
      const table = spi.emptyProcTable();
      const data = spi.emptyWspData();
      expect(WSPStartupEx(0x0002, data, INFO, upcalls, table)).toBe(spi.WSAVERNOTSUPPORTED);
      expect(WSPStartupEx(0x0101, data, INFO, upcalls, table)).toBe(spi.WSAVERNOTSUPPORTED);
      expect(WSPStartupEx(0x0202, null, INFO, upcalls, table)).toBe(spi.WSAEFAULT);
      expect(WSPStartupEx(0x0202, data, INFO, upcalls, null)).toBe(spi.WSAEFAULT);
      expect(table).toEqual(spi.emptyProcTable());
    });
  });

  it('fills every slot of the table and states version 2.2 [STARTUP-04 STARTUP-05]', () => {
    onMachine((machine) => {
      const { WSPStartupEx, capabilities } = createProvider(machine.environment(null));
      const table = spi.emptyProcTable();
      const data = spi.emptyWspData();
      expect(WSPStartupEx(0x0302, data, INFO, machine.upcalls.table(), table)).toBe(0);
      expect(Object.values(table).filter((slot) => slot === null)).toEqual([]);
      expect(Object.keys(table).sort()).toEqual([...spi.PROC_TABLE_SLOTS].sort());
      expect(data.wVersion).toBe(spi.WSP_VERSION_2_2);
      expect(capabilities.kind).toBe('base');
      expect(table.lpWSPCleanup?.(lpErrno)).toBe(0);
    });
  });
});

describe('WSPCleanup', () => {
  it('is counted: the last one closes every socket and ends what is pending with 995 [CLEANUP-01 CLEANUP-02 W3.4]', () => {
    onMachine((machine) => {
      const { WSPStartupEx } = createProvider(machine.environment(spi.ipv4Number(A)));
      const table = spi.emptyProcTable();
      const start = (): number =>
        WSPStartupEx(0x0202, spi.emptyWspData(), INFO, machine.upcalls.table(), table);
      expect([start(), start()]).toEqual([0, 0]);
      const { lpWSPCleanup, lpWSPSocket } = table as spi.FullProcTable;
      const socket = (): number => lpWSPSocket(2, 1, 6, null, 0, 1, lpErrno);
      const s = socket();
      const change = spi.createOverlapped(machine.upcalls.event());
      const { lpWSPIoctl } = table as spi.FullProcTable;
      failsWith(
        spi.WSA_IO_PENDING,
        lpWSPIoctl(
          s,
          spi.SIO_ADDRESS_LIST_CHANGE,
          null,
          0,
          null,
          0,
          spi.ref(0),
          change,
          null,
          null,
          lpErrno,
        ),
      );
      expect(lpWSPCleanup(lpErrno)).toBe(0);
      expect(change.Internal).toBe(0x103);
      expect(lpWSPCleanup(lpErrno)).toBe(0);
      expect(spi.wsaErrorOfStatus(change.Internal)).toBe(spi.WSA_OPERATION_ABORTED);
      expect(machine.isSignalled(change.hEvent)).toBe(true);
      failsWith(spi.WSANOTINITIALISED, lpWSPCleanup(lpErrno));
      failsWith(spi.WSANOTINITIALISED, socket());
    });
  });
});

it('what TCP/IP here does not do fails with WSAEOPNOTSUPP', () => {
  onMachine((machine) => {
    const host = machine.host(A);
    const { wsp } = host;
    const s = host.socket();
    failsWith(spi.WSAEOPNOTSUPP, wsp.lpWSPDuplicateSocket(s, 1, spi.emptyProtocolInfo(), lpErrno));
    expect(wsp.lpWSPGetQOSByName(s, null, null, lpErrno)).toBe(false);
  });
});
