import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { Engine } from './engine';
import { startBackground } from './session/background';
import type { Disk } from './storage/disk';
import { announceAddress } from './storage/lock';
import { createHandler } from './wire/dispatch';
import type { Report } from './wire/dispatch';
import { listen } from './wire/listener';

/** Longest path of a Unix socket that works on all systems, with some margin. */
const MAX_SOCKET_PATH = 100;

/** Where and how to serve. */
export interface ServeOptions {
  /** Folder of the data file; created if it does not exist. */
  dataDir: string;
  /**
   * A TCP port on the loopback interface (0 = any free one); without it a Unix socket is used if the system has
   * them.
   */
  port?: number | undefined;
  /** Whether a write is flushed to the disk before it is acknowledged; by default it is. */
  flush?: boolean | undefined;
  /** How data is brought to the disk, for tests; by default with the operating system's calls. */
  disk?: Disk | undefined;
  /** Identifies the lock on the folder, for a caller that may have to release it after a crash. */
  lockToken?: string | undefined;
  /** Receives unexpected errors. */
  report?: Report | undefined;
  /** Called once when the disk fails. No write succeeds from then on, so the store should be started again. */
  onFailure?: ((error: Error) => void) | undefined;
}

/** A running store. */
export interface ServedStore {
  /** Connection string for MongoDB drivers. */
  uri: string;
  /** Resolves when no client is connected. */
  unused(): Promise<void>;
  close(): Promise<void>;
}

/** Opens the store and answers MongoDB's wire protocol in this thread. */
export async function serve(options: ServeOptions): Promise<ServedStore> {
  const lockToken = options.lockToken ?? randomBytes(8).toString('hex');
  const engine = new Engine(options.dataDir, lockToken, {
    flush: options.flush ?? true,
    disk: options.disk,
    onFailure: options.onFailure,
  });
  const report = options.report ?? (() => undefined);
  const background = startBackground(engine, report);
  try {
    const handler = createHandler(engine, report);
    const socketPath = socketPathFor(options);
    const listener = await listen(
      socketPath === undefined ? { port: options.port ?? 0, host: '127.0.0.1' } : { path: socketPath },
      handler,
    );
    const address = listener.server.address() as AddressInfo | string;
    engine.address = typeof address === 'string' ? address : `127.0.0.1:${address.port}`;
    // Drivers change discovered addresses to lower case, which is another path, so discovery is switched
    // off.
    const uri =
      typeof address === 'string'
        ? `mongodb://${encodeURIComponent(address)}/?directConnection=true`
        : `mongodb://${engine.address}/`;
    announceAddress(options.dataDir, lockToken, uri);
    return {
      uri,
      unused: () => listener.unused(),
      async close() {
        await listener.close();
        await background.stop();
        await engine.close();
      },
    };
  } catch (error) {
    await background.stop();
    await engine.close();
    throw error;
  }
}

function socketPathFor({ dataDir, port }: ServeOptions): string | undefined {
  if (port !== undefined || process.platform === 'win32') return undefined;
  let path = join(dataDir, 'store.sock');
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    path = join(tmpdir(), `parley-${randomBytes(6).toString('hex')}.sock`);
  }
  rmSync(path, { force: true });
  return path;
}
