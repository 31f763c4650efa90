// Two sides fail together: when one ends, the other finds its connection reset or waits in vain. Which of
// the two errors says what happened. It must not know what was measured.

import * as spi from '../provider/spi/index.js';
import type { Failure, TaskCall } from './peer-protocol.js';
import { failureOf, PeerFailure } from './peer-protocol.js';

/** What the end of the other side looks like from this one. */
const LOSSES: readonly string[] = ['DeadlineError', 'StreamEnded', 'NicFailure'];
const LOSS_CODES: readonly (string | number | null)[] = [
  spi.WSAECONNRESET,
  spi.WSAECONNABORTED,
  spi.WSAECONNREFUSED,
  spi.WSAENETRESET,
  spi.WSAENOTCONN,
  spi.WSAETIMEDOUT,
];
/** The other side's word is on its way, if there is any. */
const WORD_PATIENCE_MS = 1_000;

/** The error of this side, or what the other side says of its own end where that explains it. */
export async function likelierCause(
  thrown: unknown,
  call: Pick<TaskCall<never, unknown>, 'result'> | null,
): Promise<unknown> {
  if (call === null || !isLoss(failureOf(thrown))) return thrown;
  const other = await Promise.race([failureOfCall(call), silence()]);
  const isSameLoss = other instanceof PeerFailure && isLoss(other.failure);
  return other === null || isSameLoss ? thrown : other;
}

function isLoss({ name, code }: Failure): boolean {
  return LOSSES.includes(name) || (name === 'WsaError' && LOSS_CODES.includes(code));
}

async function failureOfCall(call: Pick<TaskCall<never, unknown>, 'result'>): Promise<unknown> {
  try {
    await call.result();
    return null;
  } catch (thrown) {
    return thrown;
  }
}

async function silence(): Promise<null> {
  await new Promise((resolve) => {
    setTimeout(resolve, WORD_PATIENCE_MS).unref();
  });
  return null;
}
