import { closeSync, fdatasync, fsyncSync, openSync, write } from 'node:fs';

/** The operations that make data durable. They run on other threads than JavaScript. */
export interface Disk {
  /** Writes bytes into a file; resolves when they are on the disk. */
  write(descriptor: number, bytes: Uint8Array, position: number): Promise<void>;
  /** Resolves when everything that was written to a file before is on the disk. */
  flush(descriptor: number): Promise<void>;
}

/** The operating system's files. */
export const DISK: Disk = {
  async write(descriptor, bytes, position) {
    await writeAll(descriptor, bytes, position);
    await DISK.flush(descriptor);
  },
  flush: (descriptor) =>
    new Promise((resolve, reject) => fdatasync(descriptor, (error) => (error ? reject(error) : resolve()))),
};

async function writeAll(descriptor: number, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += await new Promise<number>((resolve, reject) =>
      write(descriptor, bytes, done, bytes.length - done, position + done, (error, count) =>
        error ? reject(error) : resolve(count),
      ),
    );
  }
}

/** Makes the names of the files in a folder durable, on systems where a folder can be opened. */
export function flushFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
