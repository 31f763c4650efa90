// One set-up at a time: a file that names its owner. A process that died without releasing it is
// recognised by its id and start time, so that nobody has to clean up by hand.

import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 200;
/** Longer than the time between another's look at a dead owner and its take-over. */
const SETTLE_MS = 500;

/**
 * Runs `body` while holding the lock file, waiting for a living owner first.
 * @param {string} file
 * @param {() => void} body
 */
export async function withLock(file, body) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const own = identity(process.pid) ?? `${process.pid} 0`;
  await acquire(file, own);
  try {
    body();
  } finally {
    if (read(file) === own) fs.rmSync(file, { force: true });
  }
}

async function acquire(file, own) {
  for (let isFirstWait = true; ; ) {
    if (create(file, own)) return;
    const owner = read(file);
    if (owner === null) continue;
    if (owner !== '' && owner === identity(Number(owner.split(' ')[0]))) {
      if (isFirstWait) process.stderr.write('setup: waiting for another set-up to finish\n');
      isFirstWait = false;
      await sleep(POLL_MS);
      continue;
    }
    // Dead. Several may see this and take over; the last to write wins, and all look again.
    const mine = `${file}.${process.pid}`;
    fs.writeFileSync(mine, own);
    fs.renameSync(mine, file);
    await sleep(SETTLE_MS);
    if (read(file) === own) return;
  }
}

/** Makes the file with its content in one step (a link), so that nobody ever reads it empty. */
function create(file, content) {
  const mine = `${file}.${process.pid}`;
  fs.writeFileSync(mine, content);
  try {
    fs.linkSync(mine, file);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  } finally {
    fs.rmSync(mine, { force: true });
  }
}

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return null;
  }
}

/** A process by id and start time (field 22 of its stat), or null when there is none. */
function identity(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : `${pid} ${fields[19]}`;
  } catch {
    return null;
  }
}
