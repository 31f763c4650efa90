// Claims a host and holds it until a line comes. Arguments: base directory, fabric, address, bytes.

import { Arena } from '../../../native/arena.js';
import { SystemError } from '../../../native/errors.js';
import { FabricDirectory } from '../../../native/fabric-directory.js';
import { argument, hangUp, hear, say } from './lines.js';

const fabric = new FabricDirectory(argument(1), { base: argument(0) });
try {
  const host = fabric.claim(argument(2), { arena: new Arena(), bytes: Number(argument(3)) });
  const block = host.segment.allocate(4096, 4096) ?? 0;
  host.segment.arena.view.storeRelease(host.segment.word(block), 0x5eed);
  say(`claimed ${block}`);
  await hear();
  host.release();
} catch (thrown) {
  say(thrown instanceof SystemError ? thrown.code : String(thrown));
}
hangUp();
