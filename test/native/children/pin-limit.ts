// Pins under a small memlock limit and prints what came of it.

import { native } from '../../../native/load.js';
import { hangUp, say } from './lines.js';

// The superuser has no limit; nobody has.
if (process.getuid?.() === 0) process.setuid?.(65_534);

const page = native.pageSize();
const buffer = new ArrayBuffer(1_048_576);
const start = Math.ceil(native.addressOf(buffer) / page) * page;
const small = native.pin(start, page);
const large = native.pin(start, 512 * 1024);
const isLocked = native.pinnedBytes() === page;
const unlocked = native.pinUnlocked(start, 512 * 1024);
say(`small=${small} large=${large} locked=${isLocked} unlocked=${unlocked}`);
hangUp();
