// What an application has set on a socket, on its way from controller to controller, and what it sets
// where it has no control. Knows no connection. Source: docs/duplication.md, "Control"; DUP-06.

import { ref } from '../../provider/spi/winsock2.js';
import type { SwitchCore } from '../core.js';
import { setOption } from '../options.js';
import type { SwitchSocket } from '../socket.js';
import type { SharedOptions } from './state.js';

export interface SetOption {
  readonly level: number;
  readonly name: number;
  readonly value: Uint8Array;
}

export function optionsOf(socket: SwitchSocket): SharedOptions {
  const { sendTimeoutMs, receiveTimeoutMs, lingerOn, lingerSeconds, oobInline } = socket;
  const { sendShut, receiveShut } = socket;
  return {
    sendTimeoutMs,
    receiveTimeoutMs,
    lingerOn,
    lingerSeconds,
    oobInline,
    sendShut,
    receiveShut,
    options: socket.options.map(({ level, name, value }) => {
      return [level, name, Buffer.from(value).toString('hex')] as const;
    }),
  };
}

/** Makes the socket what it was elsewhere; `later` was set here since, and counts. */
export function applyOptions(
  core: SwitchCore,
  socket: SwitchSocket,
  from: SharedOptions,
  later: readonly SetOption[],
): void {
  const { options, ...flags } = from;
  Object.assign(socket, flags);
  for (const [level, name, value] of options) {
    set(core, socket, { level, name, value: Buffer.from(value, 'hex') });
  }
  for (const option of later) set(core, socket, option);
}

function set(core: SwitchCore, socket: SwitchSocket, { level, name, value }: SetOption): void {
  setOption(core, socket, level, name, value, value.length, ref(0));
}
