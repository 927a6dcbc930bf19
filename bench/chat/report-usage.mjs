import { readFileSync, readlinkSync } from 'node:fs';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

/**
 * Preloaded into all threads of a measured server: it reports the resource usage of the server to the parent process
 * (`Usage` in target.ts). It does not keep the server alive, and ends it when the parent process has ended.
 */
const threads = new BroadcastChannel('threads of the measured server');
/** The folder in /proc of each thread, by its part of the server. Empty on systems other than Linux. */
const folders = new Map();

if (isMainThread) {
  folders.set('main', folderOfThread());
  threads.onmessage = ({ data: { part, folder } }) => folders.set(part, folder);
  threads.unref();
  process.on('message', (message) => {
    if (message === 'usage') process.send?.(usage());
  });
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel?.unref();
} else {
  // The entry file of the thread tells what it does.
  if (/embedded-store.*worker\.js$/.test(process.argv[1])) {
    threads.postMessage({ part: 'store', folder: folderOfThread() });
  }
  threads.close();
}

function usage() {
  const { user, system } = process.cpuUsage();
  const cpu = { all: (user + system) / 1000, main: timeOf('main'), store: timeOf('store') };
  // Resident memory would include memory that the operating system has not reclaimed yet.
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return { cpu, memory: heapUsed + external };
}

function folderOfThread() {
  try {
    return `/proc/${readlinkSync('/proc/thread-self')}`;
  } catch {
    return undefined;
  }
}

/** Returns the processor time of a thread in milliseconds, or undefined if the system does not report it. */
function timeOf(part) {
  try {
    const [nanoseconds] = readFileSync(`${folders.get(part)}/schedstat`, 'latin1').split(' ');
    return Number(nanoseconds) / 1e6;
  } catch {
    return undefined;
  }
}
