// The far end of the MessagePort peer: a thread that sends back what it is sent, or counts the bytes of a
// stream until it is asked for them. It must not know what is measured.

import { parentPort } from 'node:worker_threads';

export type PortMessage =
  | { readonly kind: 'echo' | 'take'; readonly payload: Uint8Array }
  | { readonly kind: 'count' };

let taken = 0;
parentPort?.on('message', (message: PortMessage) => {
  if (message.kind === 'count') {
    parentPort?.postMessage(taken);
    taken = 0;
  } else if (message.kind === 'echo') {
    parentPort?.postMessage(message.payload);
  } else {
    taken += message.payload.length;
  }
});
