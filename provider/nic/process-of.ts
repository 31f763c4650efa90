// Whose process a host is. A segment states a process id, and whoever can write the segment can write
// another one there; memory would then be moved to and from a process that never asked for it. So the
// id counts only if that process holds the reading end of the host's wake pipe, which the kernel knows.

import { fstatSync, readdirSync, readFileSync, statSync } from 'node:fs';

/** The process of a host that cannot be told: nothing is moved to or from its own memory. */
export const NO_PROCESS = -1;

const ACCESS_MODE = 3;
const WRITE_ONLY = 1;

/** Whether process `processId` can read from the pipe of which `descriptor` is an end of this process. */
export function readsPipe(processId: number, descriptor: number): boolean {
  const directory = `/proc/${processId}`;
  try {
    const pipe = fstatSync(descriptor);
    return readdirSync(`${directory}/fd`).some((name) => {
      const status = statSync(`${directory}/fd/${name}`, { throwIfNoEntry: false });
      if (status?.ino !== pipe.ino || status.dev !== pipe.dev) return false;
      const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`${directory}/fdinfo/${name}`, 'utf8'));
      return (parseInt(flags?.[1] ?? '1', 8) & ACCESS_MODE) !== WRITE_ONLY;
    });
  } catch {
    // It is gone, or this process may not look into it; then it may not move its memory either.
    return false;
  }
}
