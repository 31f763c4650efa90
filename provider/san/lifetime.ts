// WSPStartupEx and WSPCleanup: counted, the first start and the last clean-up do the work. The end
// waits for the NIC to let go of every socket; asked for from inside an upcall it comes when that has
// returned. Sources: STARTUP, CLEANUP, INIT-10.

import type { Agent } from '../../runtime/progress.js';
import { seconds } from '../../runtime/clock.js';
import * as wsa from '../spi/error-codes.js';
import type { Ref } from '../spi/winsock2.js';
import type { SanProcTable, WSPDATA, WSPProcTable, WSPUpcallTableEx } from '../spi/ws2spi.js';
import { fail, supportsVersion22, WSP_VERSION_2_2 } from '../spi/ws2spi.js';
import { forgetAllMoved } from './duplicate-listener.js';
import { parkedDeadline, RESUME_PORT } from './duplicate-peer.js';
import { drive } from './progress.js';
import { wspCloseSocket } from './socket.js';
import type { SanState } from './state.js';
import { waitUntil } from './waiting.js';

/** How long the last WSPCleanup waits for the NIC to let go. */
const CLEANUP_NANOS_MAX = seconds(5);

/** A started provider's turn in the loop, and the end of one that was told to end. */
export function sanAgent(state: SanState): Agent {
  const agent: Agent = {
    role: 'san provider',
    doWork: () => {
      const work = drive(state);
      if (state.isEnding) endIfIdle(state, agent);
      return work;
    },
    deadline: () => (state.parked.size === 0 ? Infinity : parkedDeadline(state)),
  };
  return agent;
}

/** Starts, or counts a further start. The error is the return value. [STARTUP-02] */
export function start(
  state: SanState,
  agent: Agent,
  version: number,
  tables: {
    readonly data: WSPDATA | null;
    readonly upcalls: WSPUpcallTableEx;
    /** To fill, and what with. */
    readonly table: WSPProcTable | null;
    readonly procedures: SanProcTable;
  },
  description: string,
): number {
  const { data, upcalls, table, procedures } = tables;
  if (data === null || table === null) return wsa.WSAEFAULT;
  if (!supportsVersion22(version)) return wsa.WSAVERNOTSUPPORTED;
  // The last clean-up is not over: its upcalls are still due to whoever started before.
  if (state.isEnding) return wsa.WSASYSNOTREADY;
  state.starts++;
  if (state.starts === 1) {
    state.upcalls = upcalls;
    state.environment.progress.add(agent);
    // Whoever goes on with a connection asks here.
    state.nic.listen(RESUME_PORT);
  }
  data.wVersion = WSP_VERSION_2_2;
  data.wHighVersion = WSP_VERSION_2_2;
  data.szDescription = description;
  Object.assign(table, procedures);
  return 0;
}

/** Undoes one start; the last one ends everything. [CLEANUP-01, CLEANUP-02, CLEANUP-04] */
export function wspCleanup(state: SanState, agent: Agent, lpErrno: Ref<number>): number {
  if (state.starts === 0) return fail(lpErrno, wsa.WSANOTINITIALISED);
  state.starts--;
  if (state.starts > 0) return 0;
  for (const socket of state.sockets.all()) wspCloseSocket(state, socket.descriptor, state.errno);
  forgetAllMoved(state);
  state.isEnding = true;
  // An upcall under way belongs to an operation that is not finished before it returns.
  if (state.notifying > 0) return 0;
  const deadline = state.environment.clock.now() + CLEANUP_NANOS_MAX;
  if (!waitUntil(state, () => state.closing.size === 0, deadline)) {
    state.logger.error('the NIC did not let go of every socket', { sockets: state.closing.size });
    state.closing.clear();
  }
  endIfIdle(state, agent);
  return 0;
}

function endIfIdle(state: SanState, agent: Agent): void {
  if (!state.isEnding || state.closing.size > 0 || state.notifying > 0) return;
  state.isEnding = false;
  state.environment.progress.remove(agent);
  state.nic.unlisten(RESUME_PORT);
  state.upcalls = null;
}
